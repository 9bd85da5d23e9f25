;;; (gcmmap mmap): mmap, munmap and msync as Guile users asked for them (bug 27782).
;;; SPDX-License-Identifier: MIT

;;; Commentary:
;;;
;;; The calls of POSIX for those who know them.  What they return are the mapped
;;; bytevectors of (gcmmap), so slices, ports and everything said there go with them:
;;; calling munmap is never needed, and never unsafe.
;;;
;;; Code:

(define-module (gcmmap mmap)
  #:use-module (gcmmap)
  #:use-module (rnrs bytevectors)
  #:export (mmap mmap/search munmap msync)
  #:re-export ((mapped-slice . mmap-slice)))

(define-syntax-rule (define-from-gcmmap name ...)
  (begin (begin (define name (@@ (gcmmap) name)) (export name)) ...))

(define-from-gcmmap PROT_NONE PROT_READ PROT_WRITE PROT_EXEC
  MAP_SHARED MAP_PRIVATE MAP_ANON MAP_ANONYMOUS MS_ASYNC MS_SYNC MS_INVALIDATE)

(define (refuse who reason . values)
  (scm-error 'misc-error who reason values #f))

(define (access who prot flags)
  (define (asks-for bit) (not (zero? (logand prot bit))))
  (unless (zero? (logand prot (lognot (logior PROT_READ PROT_WRITE PROT_EXEC))))
    (refuse who "unknown protection: ~S" prot))
  (when (zero? prot)
    (refuse who "memory that cannot be accessed is of no use: ~S" prot))
  (logior (if (asks-for PROT_READ) (@@ (gcmmap) %READ) 0)
          (if (asks-for PROT_WRITE) (@@ (gcmmap) %WRITE) 0)
          (if (asks-for PROT_EXEC) (@@ (gcmmap) %EXEC) 0)
          (if (zero? (logand flags MAP_PRIVATE)) 0 (@@ (gcmmap) %PRIVATE))))

(define (map-as who searched? addr size prot flags fd offset)
  (let* ((anonymous? (not (zero? (logand flags MAP_ANON))))
         (shared? (not (zero? (logand flags MAP_SHARED))))
         (private? (not (zero? (logand flags MAP_PRIVATE))))
         (access (access who prot flags)))
    (unless (memv addr '(0 #f))
      (refuse who "addresses are the collector's choice: ~S" addr))
    (unless (zero? (logand flags (lognot (logior MAP_SHARED MAP_PRIVATE MAP_ANON))))
      (refuse who "unknown flags: ~S" flags))
    (when (eq? shared? private?)
      (refuse who "either MAP_SHARED or MAP_PRIVATE: ~S" flags))
    (when (and anonymous? shared?)
      (refuse who "anonymous memory is private: ~S" flags))
    (let ((access (logior access (if searched?
                                     (@@ (gcmmap) %TRACED)
                                     (@@ (gcmmap) %POINTER-FREE)))))
      (if anonymous?
          ((@@ (gcmmap) %map-memory) size access)
          ((@@ (gcmmap) %map-fd)
           (if (port? fd) (fileno fd) fd) offset size access
           (or (and (port? fd) (port-filename fd))
               (simple-format #f "file descriptor ~a" fd))
           (string->symbol who))))))

(define* (mmap addr size #:optional
               (prot (logior PROT_READ PROT_WRITE))
               (flags (logior MAP_ANON MAP_PRIVATE))
               (fd -1) (offset 0))
  "Map @var{size} bytes and return them as a bytevector: of the file that @var{fd}, a file
descriptor or a file port, is open on, from @var{offset} on; or zeros if @var{flags} has
@code{MAP_ANON}.  @var{addr} must be 0.  The collector does not search the bytes for
pointers; see @code{mmap/search}.

The bytevector, and any slice of it made with @code{mmap-slice}, keeps the mapping.  The
collector unmaps it when none is left.  @var{offset} needs no alignment; a @var{size} of
@code{#f} is the rest of the file."
  (map-as "mmap" #f addr size prot flags fd offset))

(define* (mmap/search addr size #:optional
                      (prot (logior PROT_READ PROT_WRITE))
                      (flags (logior MAP_ANON MAP_PRIVATE))
                      (fd -1) (offset 0))
  "As @code{mmap}, but the collector searches the bytes for pointers while they can be
reached, and keeps what they point to.  A shared or read-only mapping is read whole by
each collection."
  (map-as "mmap/search" #t addr size prot flags fd offset))

(define (munmap bytevector)
  "Unmap the mapping that @var{bytevector} belongs to.  It and all slices of it become
empty bytevectors.  The collector does this by itself when none is left."
  (close-mapping bytevector))

(define* (msync bytevector #:optional (flags MS_SYNC))
  "Have the system write the bytes of @var{bytevector}, which may be a slice, to its file.
@var{flags} is @code{MS_SYNC}, which waits for it, or @code{MS_ASYNC}; either may be
combined with @code{MS_INVALIDATE}."
  (define (translate bit ours)
    (if (zero? (logand flags bit)) 0 ours))
  (unless (zero? (logand flags (lognot (logior MS_SYNC MS_ASYNC MS_INVALIDATE))))
    (refuse "msync" "unknown flags: ~S" flags))
  ((@@ (gcmmap) %sync-mapping)
   bytevector
   (logior (translate MS_SYNC (@@ (gcmmap) %SYNC))
           (translate MS_ASYNC (@@ (gcmmap) %ASYNC))
           (translate MS_INVALIDATE (@@ (gcmmap) %INVALIDATE)))))
