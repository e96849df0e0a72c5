"""Dialogues as other tools write them: transcripts, subtitles, exports of annotation tools, chats.

`detect(path)` names the format of a file, `read(path)` yields its dialogues one by one, each as a
`Dialogue` or with the problems that kept it from being one. One file here is one family of formats;
each says in its first lines which version it follows.
"""

from cqa.importers.reading import FORMATS, detect, read
from cqa.importers.record import Imported

__all__ = ["FORMATS", "Imported", "detect", "read"]
