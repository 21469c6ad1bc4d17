"""The version of what is written as JSON: reports, figures, ledgers, the latency script.

A key may be added under the same version. One that goes, or means something else, raises it.
"""

SCHEMA = 1
