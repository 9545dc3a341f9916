"""What training sees first, on a page, before it begins."""
