"""One script a real data set, and in `bandstand` the embedded world.

Each finds a set's files, checks them and makes prepared clips; `avnb.data.scripts` says
what a script holds.
"""
