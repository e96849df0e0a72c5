"""A study on more than one machine: each arm with each seed is a job on a shared runs directory.

The jobs do the same steps as `cqa run` does here, into the same run directories. So nothing has to
be brought together afterwards, and any command goes on from what the jobs have left.
"""
