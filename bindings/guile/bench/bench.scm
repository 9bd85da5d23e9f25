;;; gcmmap in Guile against Guile's usual way: mmap(2) through the foreign function
;;; interface, pointer->bytevector for the bytes and slices, and a guardian that says when to
;;; call munmap(2).
;;;
;;;     make bench-guile
;;;
;;; Contenders alternate, best and median of several rounds are shown.  In the first part a
;;; round maps a file, makes ten slices, reads one byte through each and drops it all, many
;;; times; what is left is released inside the time.  In the second a million slices of one
;;; mapping are live while garbage is collected.
;;;
;;; SPDX-License-Identifier: MIT
(use-modules (gcmmap) (rnrs bytevectors) (system foreign) (srfi srfi-1))

(define libc (dynamic-link))
(define mmap
  (pointer->procedure '* (dynamic-func "mmap" libc) (list '* size_t int int int long)))
(define munmap
  (pointer->procedure int (dynamic-func "munmap" libc) (list '* size_t)))

(define n-bytes 65536)
(define path
  (let* ((port (mkstemp! (string-copy "/tmp/gcmmap-bench-XXXXXX")))
         (path (port-filename port)))
    (display (make-string n-bytes #\a) port)
    (close-port port)
    path))

;; ---- the usual way

(define guardian (make-guardian))

(define (usual-map path)
  (let* ((fd (open-fdes path O_RDONLY))
         (pointer (mmap %null-pointer n-bytes 1 1 fd 0)))
    (close-fdes fd)
    (let ((bytes (pointer->bytevector pointer n-bytes)))
      (guardian bytes)
      bytes)))

(define (usual-slice bytes offset size)
  (pointer->bytevector (bytevector->pointer bytes offset) size))

(define (usual-release)
  (let ((bytes (guardian)))
    (when bytes
      (munmap (bytevector->pointer bytes) n-bytes)
      (usual-release))))

;; ---- measuring

(define (milliseconds thunk)
  (let ((start (get-internal-real-time)))
    (thunk)
    (* 1e3 (/ (- (get-internal-real-time) start) internal-time-units-per-second))))

(define (best times) (apply min times))
(define (median times) (list-ref (sort times <) (quotient (length times) 2)))

(define (alternate n-rounds thunks)
  (let loop ((i 0) (times (map (const '()) thunks)))
    (if (= i n-rounds)
        times
        (loop (1+ i) (map (lambda (thunk times) (cons (milliseconds thunk) times))
                          thunks times)))))

(define (show name times per unit)
  (let ((number (lambda (x) (number->string (/ (round (* 100 (/ x per))) 100)))))
    (simple-format #t "  ~a best ~a, median ~a ~a\n" (string-pad-right name 44)
                   (number (best times)) (number (median times)) unit)))

(define (n-maps)
  (call-with-input-file "/proc/self/maps"
    (lambda (port)
      (let loop ((n 0))
        (let ((c (read-char port)))
          (if (eof-object? c) n (loop (if (char=? c #\newline) (1+ n) n))))))))

;; ---- map, slice, drop

(define n-cycles 3000)
(define (cycles map-it slice release)
  (do ((i 0 (1+ i))) ((= i n-cycles))
    (let ((bytes (map-it path)))
      (do ((k 0 (1+ k))) ((= k 10))
        (bytevector-u8-ref (slice bytes (* k 6000) 100) 50)))
    (when release (release))))

(simple-format #t "map a file of 64 KiB, ten slices, read, drop:\n")
(let ((times (alternate 11 (list (lambda () (cycles map-file mapped-slice #f) (collect-mappings))
                                 (lambda () (cycles usual-map usual-slice usual-release)
                                         (gc) (usual-release))))))
  (show "gcmmap" (first times) (/ n-cycles 1e3) "us a cycle")
  (show "mmap, pointer->bytevector, guardian" (second times) (/ n-cycles 1e3) "us a cycle"))
(simple-format #t "  maps of the process afterwards: ~a\n" (n-maps))

;; ---- collecting with a million slices

(define n-slices 1000000)
(define (make-slices slice bytes)
  (let ((slices (make-vector n-slices)))
    (do ((i 0 (1+ i))) ((= i n-slices) slices)
      (vector-set! slices i (slice bytes (modulo (* i 61) 65000) 100)))))

(define (collection name slice bytes)
  (let* ((slices #f)
         (making (milliseconds (lambda () (set! slices (make-slices slice bytes))))))
    (gc)
    (let ((times (list-tabulate 9 (lambda (i) (milliseconds gc)))))
      (show (string-append name ": making") (list making) (/ n-slices 1e6) "ns a slice")
      (show (string-append name ": collection") times 1 "ms")
      (vector-length slices))))

(simple-format #t "a million slices of 100 bytes:\n")
(gc)
(show "none: collection" (list-tabulate 9 (lambda (i) (milliseconds gc))) 1 "ms")
(collection "gcmmap" mapped-slice (map-file path))
(gc) (gc)
(collection "copies" (lambda (bytes offset size)
                       (let ((copy (make-bytevector size)))
                         (bytevector-copy! bytes offset copy 0 size)
                         copy))
            (map-file path))
(gc) (gc)
(collection "pointer->bytevector" usual-slice (usual-map path))

(delete-file path)
