"""What every command does around its work: settings, messages, bars, exit codes, going on where a run stopped."""
