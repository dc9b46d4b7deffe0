"""The command line: thin over the library. Data on stdout, everything else on stderr."""
