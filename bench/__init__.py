"""Measure the tasks beside the tools that do the same, with `nox -s bench`.

The results go to docs/benchmarks.md.

    measure.py      runs one command: wall time, CPU, peak memory
    proxy.py        stands before the emulator and counts the API calls
    stage.py        the emulator, the proxy and the scratch folders of one benchmark
    templates.py    template sets of the sizes wanted
    contestants.py  what each tool is told for each piece of work
    script/         the requirements' steps as a shell script, one of the contestants
    cells.py        the pieces of work, each with what has to be true before it
    report.py       medians, ratios, targets; writes the page
    findings.md     what the profile found, in words; part of the page
    __main__.py     goes round all of it until rounds or time are used up
"""
