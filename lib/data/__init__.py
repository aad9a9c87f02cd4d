"""Stand between a change and the data it would cost; back tables up and bring them back."""
