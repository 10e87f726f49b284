"""The program's own `src`, as nearly every program of the zoo has one."""
