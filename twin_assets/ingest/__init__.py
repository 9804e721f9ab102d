"""Sources become posts: files, feeds, exports and pages, with every row and file accounted for."""
