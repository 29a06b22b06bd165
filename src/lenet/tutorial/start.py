"""Where the process of `lenet run` starts: python start.py NAME PLAN.

NAME is the name under which LeNet is imported (`lenet` or `lenet_itself`, other_name/), PLAN is the
runner's. As a file with a folder of its own it starts the same wherever the user is: a `lenet.py`
or a `types.py` there is not in the way, as it would be with python -m.
"""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # this file's folder
    from importlib import import_module

    import_module(f"{sys.argv[1]}.tutorial.runner").main(sys.argv[2])
