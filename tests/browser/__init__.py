"""The pages in a real browser; a package, so that browser and service end with its last test."""
