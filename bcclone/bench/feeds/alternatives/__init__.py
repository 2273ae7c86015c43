"""What a user would pick instead of our feeds, each written as its own documentation advises.

Each module has `deliver(race, taken)`: it opens its data, hands over batch after batch, epoch after epoch, by calling
`taken` with the size of each, and ends when that returns False. Importing one raises ImportError where its package is
not installed.
"""
