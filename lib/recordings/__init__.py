"""Keep a run so that it can be run again elsewhere, without AWS and without what is private.

Only the commands call it. `recorder.Recorder` is the tape that writes each answer from outside
into a file while a run goes on, scrubbed by `scrubbing.Scrubber`; `replayer.Replayer` is the tape
that gives them again. `recordings.read` reads the file, `codec` writes values as JSON and back.
`lib.outside` is what both are reached through.
"""
