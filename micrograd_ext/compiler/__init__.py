"""From a model to a program: a flat list of kernel calls on buffers that are made once."""
