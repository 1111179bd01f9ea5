"""Reads a checkpoint's pickle as data: containers, scalars and descriptions of tensors.

Nothing in a pickle is ever called. Each instruction is executed on plain Python values, tensors
remain descriptions of where their data lie, and an unknown name ends the reading. Time and memory
are therefore bounded by a multiple of the pickle's own size.
"""

from __future__ import annotations

import pickletools
from typing import IO, Any

from tuiprobe.limits import PICKLE_VALUES
from tuiprobe.torchfiles.stored import Module, Storage, Unread, allowed_global, rebuilt, storage_of


class PickleReader:
    """Reads the pickles of one file.

    Attributes:
        storages: All referenced storages, by key.
    """

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self._steps = 0

    def read(self, stream: IO[bytes]) -> object:
        """Reads the next pickle of a stream, up to its end, and returns its value.

        Raises:
            UnsafePickleError: If it refers to anything but tensors and containers.
            ValueError: If it is damaged or too large.
        """
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                self._steps += 1
                if self._steps > PICKLE_VALUES:
                    raise ValueError(f"its pickle has more than {PICKLE_VALUES:,} instructions")
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._step(opcode.name, argument)
        except (IndexError, KeyError, TypeError, UnicodeError) as error:
            raise ValueError("its pickle is damaged") from error
        raise ValueError("its pickle is cut short")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self._marks.append(len(stack))
            case "POP":
                stack.pop()
            case "POP_MARK":
                self._since_mark()
            case "DUP":
                stack.append(stack[-1])
            case "BINPUT" | "LONG_BINPUT" | "PUT":
                self._memo[argument] = stack[-1]
            case "MEMOIZE":
                self._memo[len(self._memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET" | "GET":
                stack.append(self._memo[argument])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(name == "NEWTRUE")
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                stack.append(self._since_mark())
            case "APPEND":
                self._extend([stack.pop()])
            case "APPENDS":
                self._extend(self._since_mark())
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                items = self._since_mark()
                stack.append({})
                self._update(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                self._update([key, value])
            case "SETITEMS":
                self._update(self._since_mark())
            case "EMPTY_SET":
                stack.append(Unread("a set"))
            case "ADDITEMS":
                self._since_mark()
            case "FROZENSET":
                self._since_mark()
                stack.append(Unread("a set"))
            case "GLOBAL":
                stack.append(allowed_global(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                stack.append(allowed_global(module, attribute))
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(rebuilt(function, arguments))
            case "BUILD":
                self._build(stack.pop())
            case "BINPERSID":
                block = storage_of(stack.pop())
                stack.append(self.storages.setdefault(block.key, block))
            case _ if name in _SCALARS:
                stack.append(argument)
            case _:
                raise ValueError(f"its pickle has an instruction of no checkpoint ({name})")

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise ValueError("its pickle is damaged")
        target.extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("its pickle is damaged")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Weights have no other kind of key, and hashing a nested one may never end.
            if isinstance(key, str | int):
                target[key] = value

    def _build(self, state: object) -> None:
        target = self._stack[-1]
        if isinstance(target, Module):
            if not isinstance(state, dict):
                raise ValueError("a module of the archive has no attributes")
            target.attributes = state


_SCALARS = frozenset(
    opcode.name
    for opcode in pickletools.opcodes
    if not opcode.stack_before and len(opcode.stack_after) == 1 and opcode.arg is not None
) - {"GLOBAL", "PERSID", "BINGET", "LONG_BINGET", "GET", "EXT1", "EXT2", "EXT4"}
