;;; (gcmmap): files as bytevectors, unmapped by the collector.
;;; SPDX-License-Identifier: MIT

;;; Commentary:
;;;
;;;     (use-modules (gcmmap) (rnrs bytevectors))
;;;     (define words (map-file "/usr/share/dict/words"))
;;;     (bytevector-u8-ref words 0)
;;;
;;; A mapped bytevector is a bytevector like any other, and every procedure for
;;; bytevectors takes it; its bytes are those of the file, not a copy.  The file stays
;;; mapped for as long as the bytevector, or any slice of it, can be reached: in
;;; variables, lists, hash tables, closures, guardians, other threads.  Once none can,
;;; the collector unmaps it.  There is nothing to free.
;;;
;;; Slices made with mapped-slice (and with bytevector-slice, where Guile has it) keep
;;; the mapping by themselves.  So do ports from open-mapped-port, the pointers of
;;; bytevector->pointer and the shared arrays made from it.  A bare address, as from
;;; pointer-address, is a number and keeps nothing.
;;;
;;; Errors are exceptions.  What the system refuses is a system-error with its errno.
;;; What was closed with close-mapping has no bytes any more: the procedures of this
;;; module raise mapping-closed, those of Guile say that the index is out of range.
;;; Closing while another thread is inside an access, or while a bytevector input port,
;;; a foreign function or a slice that this module did not make still uses the bytes, is
;;; what munmap is in C: the program may be ended by SIGSEGV.  Leave it to the collector
;;; where you cannot tell.
;;;
;;; A file that another program truncates loses its pages: reading those ends the
;;; program with SIGBUS, as everywhere with mmap.  Replace files (rename-file) instead
;;; of truncating them; what is mapped then stays what it was.
;;;
;;; Code:

(define-module (gcmmap)
  #:use-module (ice-9 iconv)
  #:use-module (rnrs bytevectors)
  #:export (map-file
            map-port
            map-memory
            mapped-slice
            mapped->string
            open-mapped-port
            mapped-bytevector?
            mapping-name
            mapping-open?
            close-mapping
            call-with-mapped-file
            sync-mapping
            collect-mappings
            mapping-statistics
            mapping-closed-exception?))

(load-extension "libguile-gcmmap" "gcmmap_init_guile")

(set-exception-printer!
 'mapping-closed
 (lambda (port key args punt)
   (apply (lambda (who message arguments . rest)
            (format port "In procedure ~a: " who)
            (apply simple-format port message arguments))
          args)))

(define (mapping-closed-exception? object)
  "Return @code{#t} if @var{object} is the exception that is raised on using a mapping
after @code{close-mapping}.  Its key, for @code{catch}, is @code{mapping-closed}."
  (and (exception? object) (eq? (exception-kind object) 'mapping-closed)))

;; No place for Scheme objects: nothing looks for them in the bytes.
(define (file-flags write? private?)
  (logior %READ %POINTER-FREE
          (if write? %WRITE 0)
          (if private? %PRIVATE 0)))

(define* (map-file path #:key (offset 0) (size #f) (write? #f) (private? #f))
  "Map the file named @var{path} and return its bytes as a bytevector.

The bytevector starts at byte @var{offset}, which needs no alignment, and has @var{size}
bytes; @code{#f} is all that follow.  The range must lie inside the file.  An empty range
gives an empty bytevector.

It is read-only, storing into it is an error, unless @var{write?} is true.  Stores reach
the file, and stores of others are seen, unless @var{private?} is true: then they stay in
this process.  The file is not kept open; it may be renamed or deleted.

Raises @code{system-error}: @code{ENOENT}, @code{EACCES} and others of @code{open-file};
@code{EISDIR} and @code{ENODEV} for what cannot be mapped; @code{ENXIO} if the range does
not lie inside the file; @code{EOVERFLOW} if it is larger than 64 GiB; @code{ENOMEM} if
there is no room even after collections."
  (%map-path path offset size (file-flags write? private?)))

(define* (map-port port #:key (offset 0) (size #f) (write? #f) (private? #f))
  "Map part of an open file and return it as a bytevector, as @code{map-file} does.

@var{port} is a file port or a file descriptor.  Its position plays no part and stays as
it is, what is in its output buffer is written first.  It may be closed afterwards.  It
must be open for reading, and for writing too if @var{write?} is true and @var{private?}
is not; otherwise @code{system-error} is raised with @code{EACCES}."
  (when (and (output-port? port) (file-port? port))
    (force-output port))
  (let ((fd (if (port? port) (fileno port) port)))
    (%map-fd fd offset size (file-flags write? private?)
             (or (and (port? port) (port-filename port))
                 (simple-format #f "file descriptor ~a" fd))
             'map-port)))

(define* (map-memory size #:key (searched? #f))
  "Return a bytevector of @var{size} zero bytes of fresh memory, which is given back to
the system as soon as the collector finds it unused.  Pages that are never touched cost
nothing.

If @var{searched?} is true the collector looks for pointers in it: a Scheme object whose
address (@code{object-address}) is stored there, aligned to words, stays alive."
  (%map-memory size (logior %READ %WRITE (if searched? 0 %POINTER-FREE))))

(define* (mapped-slice bytevector offset #:optional size)
  "Return the @var{size} bytes of @var{bytevector} from @var{offset} on, or all that
follow, as a bytevector that shares them.  It keeps the mapping by itself.
@var{bytevector} may be a slice, too; any number of slices is fine.

Raises @code{out-of-range} if the range does not lie inside, @code{mapping-closed} after
@code{close-mapping}, @code{wrong-type-arg} if @var{bytevector} is not mapped."
  (%mapped-slice bytevector offset size))

(define* (mapped->string bytevector #:optional (start 0) end #:key (encoding "UTF-8"))
  "Decode bytes @var{start} to @var{end} (not included; default: all) as a string.  This
is the only copy that is made.  Strings of Guile cannot share bytes with a file; to read
text as it comes, see @code{open-mapped-port}."
  (let ((bytes (%mapped-slice bytevector start (and end (- end start)))))
    (if (string-ci=? encoding "UTF-8")
        (utf8->string bytes)
        (bytevector->string bytes encoding))))

(define* (open-mapped-port bytevector #:key (mode "r") (encoding #f))
  "Return a port that reads (@var{mode} @code{\"r\"}), writes (@code{\"w\"}) or does both
(@code{\"r+\"}) in the bytes of a mapped bytevector, from their start; @code{seek} works.
It keeps the mapping.  It never makes the bytevector longer: writing past the end raises
@code{system-error} with @code{ENOSPC}.

It is a binary port unless an @var{encoding} is given, such as @code{\"UTF-8\"}.  Unlike
@code{open-bytevector-input-port} it raises @code{mapping-closed} after
@code{close-mapping}."
  (let ((port (%open-mapped-port bytevector mode)))
    (set-port-encoding! port (or encoding "ISO-8859-1"))
    port))

(define (mapped-bytevector? object)
  "Return @code{#t} if @var{object} is a bytevector of this module or a slice of one."
  (%mapped-bytevector? object))

(define (mapping-name bytevector)
  "Return the name of the file whose bytes these are, as it was given."
  (%mapping-name bytevector))

(define (mapping-open? bytevector)
  "Return @code{#f} once the mapping was closed with @code{close-mapping}."
  (%mapping-open? bytevector))

(define (close-mapping bytevector)
  "Unmap the whole mapping that @var{bytevector} belongs to, now, instead of when it is no
longer used.  It and all slices of it become empty bytevectors: procedures of this module
raise @code{mapping-closed}, those of Guile @code{out-of-range}.  Closing twice is fine.

Nothing else is ever mapped at the addresses while a bytevector still has them."
  (%close-mapping bytevector))

(define (call-with-mapped-file path procedure . options)
  "Call @var{procedure} with the bytes of the file @var{path}, and close the mapping when
it returns or is left by an exception or an escape.  @var{options} are those of
@code{map-file}.  Where slices shall live on, use @code{map-file}."
  (let ((bytevector (apply map-file path options)))
    (dynamic-wind
      (lambda ()
        (unless (mapping-open? bytevector)
          (%mapped-slice bytevector 0)))  ; re-entered: says that it was closed
      (lambda () (procedure bytevector))
      (lambda () (close-mapping bytevector)))))

(define* (sync-mapping bytevector #:key (wait? #t) (invalidate? #f))
  "Have the system write what was stored into @var{bytevector} (a slice will do) to its
file; wait until that is done unless @var{wait?} is false.  If @var{invalidate?} is true,
other mappings of the file are made to show it."
  (%sync-mapping bytevector (logior (if wait? %SYNC %ASYNC)
                                    (if invalidate? %INVALIDATE 0))))

(define (collect-mappings)
  "Collect garbage now and unmap every file that is not used any more.  Return how many
were.  Nobody needs to call this; it is for programs that have just dropped a lot, and
for tests."
  (%collect-mappings))

(define (mapping-statistics)
  "Return an alist of counters of this process: @code{live} mappings; @code{closed} ones
that bytevectors still name; @code{dying} ones; all that were ever @code{mapped} and those
@code{released} by the collector; @code{bytes-live} and @code{bytes-reserved} of
addresses."
  (%mapping-statistics))
