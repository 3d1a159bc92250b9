"""The child's side: what a run or a delivery is given, and the process it lives in.

A child holds no secret it was not handed, talks to its supervisor in lines of JSON over one socket, and dies with it.
"""

BARE = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}  #: an environment with nothing of ours
