"""The tool around pyinfra: settings, the stack, releases and the `corral` command."""
