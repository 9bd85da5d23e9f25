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
;;; A file that another program truncates loses its pages: reading those with Guile's own
;;; procedures ends the program with SIGBUS, as everywhere with mmap, unless it was mapped with #:zero-fill? #t.  Replace files
;;; (rename-file) instead of truncating them; what is mapped then stays what it was.  Where
;;; that cannot be had: mapped-copy, mapped-ref, mapped->string and mapped ports raise system-error with
;;; EFAULT, and say which byte of which file is gone and why.
;;;
;;; Do not have get-bytevector-n! (of ports) store into a read-only mapping: Guile 3.0.8 does
;;; not look whether a bytevector is immutable there, and ends with SIGSEGV.
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
            mapped-copy
            mapped-store!
            mapped-ref
            mapped-set!
            open-mapped-port
            mapped-bytevector?
            mapping-name
            mapping-open?
            close-mapping
            call-with-mapped-file
            sync-mapping
            advise-mapping
            protect-mapping
            prefetch-mapping
            unload-mapping
            lock-mapping
            unlock-mapping
            mapping-resident-pages
            mapping-zero-filled
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
(define* (file-flags write? private? by-handle? zero-fill?)
  (logior %READ %POINTER-FREE
          (if zero-fill? %ZERO-FILL 0)
          (if by-handle? %BY-HANDLE 0)
          (if write? %WRITE 0)
          (if private? %PRIVATE 0)))

(define* (map-file path #:key (offset 0) (size #f) (write? #f) (private? #f) (by-handle? #f)
                   (zero-fill? #f))
  "Map the file named @var{path} and return its bytes as a bytevector.

The bytevector starts at byte @var{offset}, which needs no alignment, and has @var{size}
bytes; @code{#f} is all that follow.  The range must lie inside the file.  An empty range
gives an empty bytevector.

It is read-only, storing into it is an error, unless @var{write?} is true.  Stores reach
the file, and stores of others are seen, unless @var{private?} is true: then they stay in
this process.  The file is not kept open; it may be renamed or deleted.

If @var{by-handle?} is true the mapping lies outside the collector's heap: it may be larger
than 64 GiB and costs collections nothing.  Bytevectors and slices keep it as before; the
addresses themselves, as foreign functions have them, do not.

If @var{zero-fill?} is true, pages that the file loses because someone truncates it read
as zeros from then on, instead of ending the program; @code{mapping-zero-filled} tells.

Raises @code{system-error}: @code{ENOENT}, @code{EACCES} and others of @code{open-file};
@code{EISDIR} and @code{ENODEV} for what cannot be mapped; @code{ENXIO} if the range does
not lie inside the file; @code{EOVERFLOW} if it is larger than 64 GiB; @code{ENOMEM} if
there is no room even after collections."
  (%map-path path offset size (file-flags write? private? by-handle? zero-fill?)))

(define* (map-port port #:key (offset 0) (size #f) (write? #f) (private? #f) (by-handle? #f)
                   (zero-fill? #f))
  "Map part of an open file and return it as a bytevector, as @code{map-file} does.

@var{port} is a file port or a file descriptor.  Its position plays no part and stays as
it is, what is in its output buffer is written first.  It may be closed afterwards.  It
must be open for reading, and for writing too if @var{write?} is true and @var{private?}
is not; otherwise @code{system-error} is raised with @code{EACCES}."
  (when (and (output-port? port) (file-port? port))
    (force-output port))
  (let ((fd (if (port? port) (fileno port) port)))
    (%map-fd fd offset size (file-flags write? private? by-handle? zero-fill?)
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

(define (mapping-zero-filled bytevector)
  "Return how many bytes, in whole pages, of the mapping that @var{bytevector} lies in have
been replaced by zeros since it was made: 0 unless it was made with @code{#:zero-fill?} and
its file became too short.  Slices answer for the whole mapping."
  (%zero-filled bytevector))

(define* (mapped-slice bytevector offset #:optional size)
  "Return the @var{size} bytes of @var{bytevector} from @var{offset} on, or all that
follow, as a bytevector that shares them.  It keeps the mapping by itself.
@var{bytevector} may be a slice, too; any number of slices is fine.

Raises @code{out-of-range} if the range does not lie inside, @code{mapping-closed} after
@code{close-mapping}, @code{wrong-type-arg} if @var{bytevector} is not mapped."
  (%mapped-slice bytevector offset size))

(define* (mapped->string bytevector #:optional (start 0) end #:key (encoding "UTF-8"))
  "Decode bytes @var{start} to @var{end} (not included; default: all) as a string.
Strings of Guile cannot share bytes with a file; to read text as it comes, see
@code{open-mapped-port}.  Raises @code{system-error} where bytes are gone, as
@code{mapped-copy} does."
  (let ((bytes (mapped-copy bytevector start end)))
    (if (string-ci=? encoding "UTF-8")
        (utf8->string bytes)
        (bytevector->string bytes encoding))))

;; EFAULT is what gcmmap_copy_out() says.
(define* (mapped-copy bytevector #:optional (start 0) end)
  "Return bytes @var{start} to @var{end} (not included; default: all) as a new bytevector
that shares nothing with the file.

It is safe where the file may have been truncated meanwhile, its disk may fail or access was
taken away: instead of ending the program it raises @code{system-error} with @code{EFAULT};
the message tells which byte of which file, and what happened to it."
  (%mapped-copy (%mapped-slice bytevector start (and end (- end start)))))

(define (mapped-store! bytevector start source)
  "Store all bytes of the bytevector @var{source} into @var{bytevector}, from index
@var{start} on, as safely as @code{mapped-copy} reads: it raises @code{system-error} with
@code{EFAULT} where bytes are gone.  Those before are stored then."
  (%mapped-store! (%mapped-slice bytevector start) source))

;; symbol, size, reader, writer
(define number-types
  (list
   (list 'u8 1 (lambda (b i e) (bytevector-u8-ref b i)) (lambda (b i v e) (bytevector-u8-set! b i v)))
   (list 's8 1 (lambda (b i e) (bytevector-s8-ref b i)) (lambda (b i v e) (bytevector-s8-set! b i v)))
   (list 'u16 2 bytevector-u16-ref bytevector-u16-set!)
   (list 's16 2 bytevector-s16-ref bytevector-s16-set!)
   (list 'u32 4 bytevector-u32-ref bytevector-u32-set!)
   (list 's32 4 bytevector-s32-ref bytevector-s32-set!)
   (list 'u64 8 bytevector-u64-ref bytevector-u64-set!)
   (list 's64 8 bytevector-s64-ref bytevector-s64-set!)
   (list 'f32 4 bytevector-ieee-single-ref bytevector-ieee-single-set!)
   (list 'f64 8 bytevector-ieee-double-ref bytevector-ieee-double-set!)))

;; Guile takes any symbol for little endian.
(define (need-number-type who type endianness)
  (need-number who endianness '((big) (little)))
  (need-number who type number-types))

(define* (mapped-ref bytevector index #:optional (type 'u8) (endianness (native-endianness)))
  "Return the number that is stored at @var{index}, which needs no alignment.  @var{type} is
@code{u8}, @code{s8}, @code{u16}, @code{s16}, @code{u32}, @code{s32}, @code{u64}, @code{s64},
@code{f32} or @code{f64}.  It is as safe as @code{mapped-copy}, which costs a system call; use
@code{bytevector-u8-ref} and so on where the file is not truncated."
  (let ((number (need-number-type "mapped-ref" type endianness)))
    ((cadr number) (%mapped-copy (%mapped-slice bytevector index (car number))) 0 endianness)))

(define* (mapped-set! bytevector index value #:optional (type 'u8)
                      (endianness (native-endianness)))
  "Store @var{value} at @var{index}, as @code{mapped-ref} reads it."
  (let* ((number (need-number-type "mapped-set!" type endianness))
         (bytes (make-bytevector (car number))))
    ((caddr number) bytes 0 value endianness)
    (%mapped-store! (%mapped-slice bytevector index (car number)) bytes)))

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

(define advice-numbers
  '((normal . 0) (random . 1) (sequential . 2) (will-need . 3) (cold . 20) (page-out . 21)
    (populate-read . 22) (populate-write . 23) (huge-page . 14) (no-huge-page . 15)
    (dont-dump . 16) (do-dump . 17) (mergeable . 12) (unmergeable . 13)
    ;; These lose contents: see gcmmap.h.
    (dont-need . 4) (free . 8) (remove . 9)))

(define (need-number who symbol numbers)
  (or (assq-ref numbers symbol)
      (scm-error 'wrong-type-arg who "none of ~S: ~S" (list (map car numbers) symbol)
                 (list symbol))))

(define (advise-mapping bytevector advice)
  "Tell the system how @var{bytevector}, which may be a slice, will be used.  @var{advice} is
a symbol: @code{normal}, @code{random}, @code{sequential}, @code{will-need}, @code{cold},
@code{page-out}, @code{populate-read}, @code{populate-write}, @code{huge-page},
@code{no-huge-page}, @code{dont-dump}, @code{do-dump}, @code{mergeable}, @code{unmergeable};
or one that loses contents of all pages that hold some of the bytes: @code{dont-need} and
@code{free} what was stored privately, @code{remove} the file's own bytes."
  (%operate 'advise-mapping bytevector %ADVISE
            (need-number "advise-mapping" advice advice-numbers)))

(define (protect-mapping bytevector . access)
  "Change what may be done with all pages that hold some of @var{bytevector}: @var{access} are
symbols out of @code{read}, @code{write}, @code{exec}; none at all forbids everything.  Guile
does not know of it: an access that is not allowed ends the program with SIGSEGV
(@code{mapped-copy} raises).  A read-only bytevector stays so."
  (%operate 'protect-mapping bytevector %PROTECT
            (apply logior 0
                   (map (lambda (symbol)
                          (need-number "protect-mapping" symbol
                                       `((read . ,%READ) (write . ,%WRITE) (exec . ,%EXEC))))
                        access))))

(define (prefetch-mapping bytevector)
  "Begin to read the bytes in, and do not wait for it."
  (%operate 'prefetch-mapping bytevector %PREFETCH 0))

(define (unload-mapping bytevector)
  "Drop the bytes from memory.  Nothing is lost: they are read in again when needed."
  (%operate 'unload-mapping bytevector %UNLOAD 0))

(define (lock-mapping bytevector)
  "Read the bytes in and keep them in memory, never swapped, until @code{unlock-mapping}.
Raises @code{system-error} with @code{ENOMEM} for more than RLIMIT_MEMLOCK allows."
  (%operate 'lock-mapping bytevector %LOCK 0))

(define (unlock-mapping bytevector)
  "Let the system swap the bytes again."
  (%operate 'unlock-mapping bytevector %UNLOCK 0))

(define (mapping-resident-pages bytevector)
  "Return how many of the pages that hold some of the bytes are in memory at this moment."
  (%resident-pages bytevector))

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
