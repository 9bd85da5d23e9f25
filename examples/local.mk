# Examples: each is a program of one page; the tests build and run them all.

noinst_PROGRAMS = \
	examples/01-tour \
	examples/02-log-writer \
	examples/03-log-follower \
	examples/04-arena \
	examples/05-linked-file \
	examples/06-picture \
	$(tutorial_programs)

# The steps of doc/tutorial.md.
tutorial_programs = \
	examples/11-first-mapping \
	examples/12-keeping-and-forgetting \
	examples/13-when-things-go-wrong \
	examples/14-growing \
	examples/15-traced-arena
