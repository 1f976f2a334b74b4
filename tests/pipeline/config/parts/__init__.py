"""Components with one of each kind of option, for the tests of the configuration."""
