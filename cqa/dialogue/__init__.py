"""What a dialogue and its annotations show of how they were made: counts and warnings, no verdicts.

`speech` counts in transcribed speech, `rules` makes one signal of each count, `signals` sums them.
"""

from cqa.dialogue.signals import Signals, batch_signals, dialogue_signals

__all__ = ["Signals", "batch_signals", "dialogue_signals"]
