"""Read templates, resolve them, and compare what two versions of them say.

Pure: text and values in, frozen results out; no AWS, no clock, nothing written.
"""
