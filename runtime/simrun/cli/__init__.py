"""The command line of `simrun`.

In: the words of a command. Out: an exit code, results on stdout, everything else on stderr.
Open `app` first: the commands; `run` is what happens without one; `console` is what both programs
of the distribution do alike: errors in one line, the log, exit codes.
"""
