"""The writing assistant, a client of the REST interface."""
