# Examples: each is a program of one page; the tests build and run them all.

noinst_PROGRAMS = \
	examples/01-tour \
	examples/02-log-writer \
	examples/03-log-follower \
	examples/04-arena \
	examples/05-linked-file
