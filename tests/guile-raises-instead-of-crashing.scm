;;; Bad input and use after close raise exceptions that say what is wrong.
;;; SPDX-License-Identifier: MIT

(use-modules (gcmmap) (guile tap) (ice-9 binary-ports) (ice-9 exceptions) (ice-9 rdelim)
             (rnrs bytevectors) (system base compile))

(define-syntax-rule (raises-all (key expression) ...)
  (begin (raises key (simple-format #f "~a: ~s" key 'expression) (lambda () expression)) ...))

(define-syntax-rule (fails-all (errno expression) ...)
  (begin (raises 'system-error (simple-format #f "~a: ~s" 'errno 'expression)
                 (lambda () expression) errno) ...))

(define path (let* ((port (mkstemp! (string-copy "/tmp/gcmmap-guile-XXXXXX")))
                    (path (port-filename port)))
               (display "alpha\nbeta\ngamma\n" port)
               (close-port port)
               path))
(define bytes (map-file path))

(raises-all
 ('wrong-type-arg (map-file 'name))
 ('wrong-type-arg (map-file path #:offset "1"))
 ('wrong-type-arg (map-file path #:offset 1.5))
 ('wrong-type-arg (map-file path #:size 'all))
 ('out-of-range (map-file path #:offset -1))
 ('out-of-range (map-file path #:offset (expt 2 63)))
 ('out-of-range (map-file path #:offset (expt 2 200)))
 ('out-of-range (map-file path #:size -1))
 ('out-of-range (map-file path #:size (1- (expt 2 64))))
 ('wrong-type-arg (map-port "name"))
 ('out-of-range (map-port -1))
 ('out-of-range (map-memory -1))
 ('wrong-type-arg (map-memory 'some))
 ('wrong-type-arg (mapped-slice #vu8(1 2 3) 1))
 ('wrong-type-arg (mapped-slice "bytes" 1))
 ('wrong-type-arg (mapped-slice 5 1))
 ('wrong-type-arg (mapped-slice #f 1))
 ('wrong-type-arg (mapped-slice bytes 'a))
 ('out-of-range (mapped-slice bytes -1))
 ('out-of-range (mapped-slice bytes 18))
 ('out-of-range (mapped-slice bytes 0 18))
 ('out-of-range (mapped-slice bytes 17 1))
 ('out-of-range (mapped-slice bytes 1 (expt 2 64)))
 ('out-of-range (mapped->string bytes 3 2))
 ('wrong-type-arg (close-mapping 'it))
 ('wrong-type-arg (close-mapping #vu8()))
 ('wrong-type-arg (mapping-name 1))
 ('wrong-type-arg (sync-mapping "it"))
 ('wrong-type-arg (open-mapped-port bytes #:mode "w"))
 ('wrong-type-arg (open-mapped-port bytes #:mode "r+"))
 ('wrong-type-arg (open-mapped-port bytes #:mode 5))
 ('misc-error (open-mapped-port bytes #:mode "b"))
 ('wrong-type-arg (bytevector-u8-set! bytes 0 1))
 ('wrong-type-arg (bytevector-fill! (mapped-slice bytes 2) 1)))

(fails-all
 (ENOENT (map-file "/nonexistent/file"))
 (EISDIR (map-file "/tmp"))
 (ENODEV (map-file "/proc/self/status"))
 (ENXIO (map-file path #:offset 18))
 (ENXIO (map-file path #:offset 10 #:size 8))
 (EBADF (map-port 999))
 (EOVERFLOW (map-memory (expt 2 50)))
 (EACCES (call-with-input-file path (lambda (port) (map-port port #:write? #t)))))

(is (bytevector-length (map-file path #:offset 17)) 0 "the end of a file is an empty range")

;; Use after close.
(define slice (mapped-slice bytes 6 4))
(define port (open-mapped-port bytes))
(define array (make-shared-array bytes (lambda (i) (list (+ i 6))) 4))
;; In one compiled procedure: the length must be read again.
(define read-close-read
  (compile '(lambda (bytes close)
              (let ((first (bytevector-u8-ref bytes 0)))
                (close)
                (+ first (bytevector-u8-ref bytes 0))))
           #:env (current-module)))
(raises 'out-of-range "Guile's own access after close"
        (lambda () (read-close-read bytes (lambda () (close-mapping slice)))))
(ok (not (mapping-open? bytes)) "closing a slice closes the mapping")
(is (n-maps-of path) 0 "which is gone")
(raises-all
 ('mapping-closed (mapped-slice bytes 0))
 ('mapping-closed (mapped-slice slice 0 0))
 ('mapping-closed (mapped->string bytes))
 ('mapping-closed (open-mapped-port slice))
 ('mapping-closed (sync-mapping bytes))
 ('mapping-closed (get-u8 port))
 ('mapping-closed (seek port 0 SEEK_SET))
 ('out-of-range (bytevector-u8-ref slice 0))
 ('out-of-range (bytevector-u64-native-ref bytes 0))
 ('out-of-range (array-ref array 0)))
(is (bytevector-length slice) 0 "closed slices have no bytes")
(is (utf8->string bytes) "" "nor characters")
(close-mapping bytes)
(ok #t "closing twice is fine")
(is (mapping-name slice) path "the name is still known")
(is (guard (e ((mapping-closed-exception? e) 'caught)) (mapped-slice bytes 0)) 'caught
    "guard can tell")
(ok (string-contains
     (call-with-output-string
       (lambda (out)
         (catch #t (lambda () (mapped-slice bytes 0))
           (lambda (key . args) (print-exception out #f key args)))))
     (string-append "the mapping of \"" path "\" was closed"))
    "the message names the file")

;; Left by an exception, and entered again.
(let ((again #f) (kept #f) (keys '()))
  (catch #t
    (lambda ()
      (call-with-mapped-file path
        (lambda (bytes)
          (set! kept bytes)
          (call/cc (lambda (k) (unless again (set! again k))))
          (throw 'done))))
    (lambda (key . rest) (set! keys (cons key keys))))
  (ok (not (mapping-open? kept)) "call-with-mapped-file closes on exceptions")
  (when (null? (cdr keys))
    (again #f))
  (is keys '(mapping-closed done) "and cannot be entered again"))

;; Files that vanish or shrink.
(define vanishing (map-file path))
(delete-file path)
(is (mapped->string vanishing 0 5) "alpha" "a deleted file stays mapped")
(raises 'system-error "and cannot be mapped again" (lambda () (map-file path)) ENOENT)
(let ((port (open-file path "w+")))
  (display "long enough" port)
  (force-output port)
  (truncate-file port 3)
  (raises 'system-error "a file that shrank says so" (lambda () (map-port port #:size 8)) ENXIO)
  (is (utf8->string (map-port port)) "lon" "or gives what is left")
  (delete-file path))

(finish)
