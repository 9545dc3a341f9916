"""`downslope tune`: which settings to take, by trials that are ordinary runs."""
