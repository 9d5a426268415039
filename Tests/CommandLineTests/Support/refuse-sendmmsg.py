"""Runs a program under a filter that refuses `sendmmsg`, as those of some containers do.

    refuse-sendmmsg.py ERRNO PROGRAM [ARGUMENT]...

ERRNO is the name of the error that the call gets, such as ENOSYS or EPERM. Linux only.
"""
import ctypes
import errno
import os
import platform
import struct
import sys

# By machine: the architecture as the kernel's audit names it, and the number of sendmmsg.
MACHINES = {"x86_64": (0xC000003E, 307), "aarch64": (0xC00000B7, 269)}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def instruction(code, value, if_true=0, if_false=0):
    return struct.pack("=HBBI", code, if_true, if_false, value)


architecture, number = MACHINES[platform.machine()]
error = getattr(errno, sys.argv[1])
instructions = [
    instruction(LOAD, 4),  # the architecture
    instruction(JUMP_IF_EQUAL, architecture, 0, 3),
    instruction(LOAD, 0),  # the number of the call
    instruction(JUMP_IF_EQUAL, number, 0, 1),
    instruction(RETURN, FAIL | error),
    instruction(RETURN, ALLOW),
]
program = Program(len(instructions), b"".join(instructions))
libc = ctypes.CDLL(None, use_errno=True)
for arguments in [
    (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
]:
    if libc.prctl(*arguments) != 0:
        sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
