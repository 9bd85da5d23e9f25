;;; tap: TAP, files and witnesses for tests in Guile.
;;; SPDX-License-Identifier: MIT

(define-module (guile tap)
  #:use-module (gcmmap)
  #:use-module (ice-9 binary-ports)
  #:use-module (ice-9 rdelim)
  #:use-module (rnrs bytevectors)
  #:export (ok is raises byte-at has-bytes? with-file n-maps-of make-noise collect-until finish))

(define n-done 0)
(define n-failed 0)

(define (ok true? name)
  (set! n-done (1+ n-done))
  (unless true? (set! n-failed (1+ n-failed)))
  (simple-format #t "~a ~a - ~a\n" (if true? "ok" "not ok") n-done name)
  (force-output))

(define (is got expected name)
  (ok (equal? got expected) name)
  (unless (equal? got expected)
    (simple-format #t "#      got: ~s\n# expected: ~s\n" got expected)))

(define (finish)
  (simple-format #t "1..~a\n" n-done)
  (exit (zero? n-failed)))

;; KEY is what catch gets; DETAIL, if given, is the errno of a system-error.
(define* (raises key name thunk #:optional detail)
  (let ((got (catch #t
               (lambda () (thunk) 'nothing)
               (lambda (key who message arguments data)
                 (if detail (list key (car data)) key)))))
    (is got (if detail (list key detail) key) name)))

(define (byte-at seed offset)
  (logand 255 (+ seed (* 31 offset) (quotient offset 251))))

(define* (has-bytes? bytevector seed #:optional (offset 0))
  (let loop ((i 0))
    (or (= i (bytevector-length bytevector))
        (and (= (bytevector-u8-ref bytevector i) (byte-at seed (+ i offset)))
             (loop (1+ i))))))

(define (with-file seed n-bytes procedure)
  (let* ((port (mkstemp! (string-copy "/tmp/gcmmap-guile-XXXXXX")))
         (path (port-filename port))
         (bytes (make-bytevector n-bytes)))
    (do ((i 0 (1+ i))) ((= i n-bytes))
      (bytevector-u8-set! bytes i (byte-at seed i)))
    (put-bytevector port bytes)
    (close-port port)
    (dynamic-wind (const #t)
                  (lambda () (procedure path))
                  (lambda () (false-if-exception (delete-file path))))))

;; The kernel's word: lines of /proc/self/maps that name the file; all lines for #f.
(define (n-maps-of path)
  (call-with-input-file "/proc/self/maps"
    (lambda (port)
      (let loop ((n 0))
        (let ((line (read-line port)))
          (cond ((eof-object? line) n)
                ((or (not path) (string-contains line path)) (loop (1+ n)))
                (else (loop n))))))))

(define (make-noise)
  (let loop ((i 0) (list '()))
    (when (< i 20000)
      (loop (1+ i) (cons (make-bytevector (* 8 (modulo i 40)) 85)
                         (if (zero? (modulo i 100)) '() list))))))

;; Conservative collection may need more than one round.
(define (collect-until done?)
  (let loop ((n 0))
    (make-noise)
    (collect-mappings)
    (cond ((done?) #t)
          ((= n 20) #f)
          (else (loop (1+ n))))))
