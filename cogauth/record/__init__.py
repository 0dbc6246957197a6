"""What is on disk.

- ``state.py`` is the state file, ``records.py`` what it holds, ``forms.py`` what each value looks
  like.
- ``files.py`` opens and writes only what is ours alone, ``trust.py`` says who else may write there,
  ``lock.py`` lets one writer at a time.
"""
