"""Many runs from one line: settings drawn, trained, given up, compared and reported."""
