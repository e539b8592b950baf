"""The reference runs of the series, one folder each: see `avnb.course.reference`."""
