"""The experiments, one a module; ``labs/README.md`` says how to add one."""
