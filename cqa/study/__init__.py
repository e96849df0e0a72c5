"""An experiment file as steps that are done once: its lock, its pace, and what it can find."""
