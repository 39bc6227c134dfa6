"""What all parts of the package use: checks of arguments, names, files, random numbers."""
