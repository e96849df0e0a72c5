"""More than one machine: each arm with each seed, or each share of a scoring, is a job.

The jobs do the same as `cqa run` and `cqa score` do here, into the same run directories on a shared
disk. So nothing has to be sent back, and any command goes on from what the jobs have left.
"""
