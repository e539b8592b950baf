"""The series of notebooks: installed as the package `avnb_notebooks`."""
