"""What can be wrong with a query, and what to change then."""

from enum import Enum


class Mistake(Enum):
    """What is wrong with a query; the value says what to change."""

    COLUMN = "Correct the column's name, or its table's"
    TABLE = "Correct the name, with its schema (schema.table), or the database to which the connection leads"
    FUNCTION = "There is no such function or comparison for values of these types: take another, or CAST the values"
    TYPE = "Values of different types are compared or combined: CAST one of them"
    AMBIGUOUS = "Write the table's name before the column's"
    TWICE = "Name each column once"
    SYNTAX = "Correct the SQL there, or right before"
    END = "Close what is open in it, a parenthesis or a CASE, or complete its last part"
    PERMISSION = "Let the owner GRANT SELECT on it to the user of the connection"
    CHANGE = "A query may only read: leave out what changes data or locks rows"
    VALUE = "Run the query by hand to see the value, and let it leave such rows out or convert them so that it cannot fail"
    TIME = "Let the query read less, or give the connection's user more time"
    OWN = "A function of the warehouse raises this error: run the query by hand to read it"
    OTHER = ""

    @property
    def is_about_names(self) -> bool:
        """Whether a database tells of it with names of tables, columns and functions alone."""
        return self in (Mistake.COLUMN, Mistake.TABLE, Mistake.FUNCTION, Mistake.AMBIGUOUS, Mistake.TWICE, Mistake.PERMISSION)
