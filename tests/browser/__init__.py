"""The pages in a real browser. A package, so that its service and browser end with its last test."""
