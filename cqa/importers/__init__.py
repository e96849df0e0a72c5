"""Dialogues as other tools write them: transcripts, subtitles, exports of annotation tools, chats.

`detect(path)` names the format of a file, `read(path)` yields its dialogues one by one, each as a
`Dialogue` or with the problems that kept it from being one. Formats: `transcript`, `subtitles`,
`tools` (of annotation), `chat` (and the BC fields); `held` finds the dialogue in a JSON object,
`speakers` who is B and who is C, `facts` what is said beside the turns, `building` makes the whole.
"""

from cqa.importers.formats import FORMATS, detect, read
from cqa.importers.record import Imported
from cqa.importers.speakers import mapping

__all__ = ["FORMATS", "Imported", "detect", "mapping", "read"]
