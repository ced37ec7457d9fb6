"""Vectors of half precision as a column: bytes in SQLite, pgvector's `halfvec` in PostgreSQL. To us they are bytes."""

import struct
from array import array
from typing import Any

from sqlalchemy import ColumnElement, Dialect, Integer, LargeBinary, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine, UserDefinedType

_HEADER = 4
"""Bytes before the numbers in pgvector's binary form."""


class HalfVector(UserDefinedType[Any]):
    """pgvector's `halfvec`, of any length."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Its name in a table."""
        return "halfvec"


class Halves(TypeDecorator[bytes]):
    """A vector as little-endian float16 bytes."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type of the column."""
        inner = HalfVector() if dialect.name == "postgresql" else LargeBinary()
        return dialect.type_descriptor(inner)

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> Any:
        """Bytes, or for PostgreSQL their numbers; five digits tell every half from the next."""
        if value is None or dialect.name != "postgresql":
            return value
        return f"[{','.join(f'{one:.5g}' for one in struct.unpack(f'<{len(value) // 2}e', value))}]"

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        """Little-endian bytes; PostgreSQL sends the numbers with their higher byte first."""
        if value is None or dialect.name != "postgresql":
            return value
        numbers = array("H", value[_HEADER:])
        numbers.byteswap()
        return numbers.tobytes()

    def bind_expression(self, bindparam: ColumnElement[Any]) -> ColumnElement[Any]:
        """How a value is written."""
        return _Read(bindparam)

    def column_expression(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """How a value is read."""
        return _Sent(column, type_=self)


class Size(FunctionElement[Any]):
    """How many bytes the numbers of a vector take: `Size(vector.c.vector) == 2 * dimension` where it is undamaged."""

    inherit_cache = True
    type = Integer()


class _Read(FunctionElement[Any]):
    inherit_cache = True
    type = LargeBinary()


class _Sent(FunctionElement[Any]):
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], type_: TypeEngine[Any]) -> None:
        super().__init__(column)
        self.type = type_


@compiles(_Read)
@compiles(_Sent)
def _plain(element: FunctionElement[Any], compiler: Any, **how: Any) -> str:
    return compiler.process(next(iter(element.clauses)), **how)


@compiles(Size)
def _size(element: FunctionElement[Any], compiler: Any, **how: Any) -> str:
    return f"length({_plain(element, compiler, **how)})"


@compiles(Size, "postgresql")
def _size_there(element: FunctionElement[Any], compiler: Any, **how: Any) -> str:
    return f"(2 * vector_dims({_plain(element, compiler, **how)}))"


@compiles(_Read, "postgresql")
def _read(element: FunctionElement[Any], compiler: Any, **how: Any) -> str:
    return f"CAST({_plain(element, compiler, **how)} AS halfvec)"


@compiles(_Sent, "postgresql")
def _sent(element: FunctionElement[Any], compiler: Any, **how: Any) -> str:
    return f"halfvec_send({_plain(element, compiler, **how)})"
