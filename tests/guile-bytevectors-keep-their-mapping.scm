;;; Whatever has some of a mapping's bytes keeps all of it mapped, and nothing else does.
;;; SPDX-License-Identifier: MIT

(use-modules (gcmmap) (guile tap) (ice-9 binary-ports) (ice-9 threads) (rnrs bytevectors)
             (system foreign))

(define n-bytes 20000)

;; Each makes, of a fresh mapping, a thing that is all that is kept of it; and reads
;; 100 bytes from 10001 on through it.
(define keepers
  (list
   (list "the bytevector itself" identity (lambda (it) (mapped-slice it 10001 100)))
   (list "a slice" (lambda (it) (mapped-slice it 10001 100)) identity)
   (list "a slice of a slice of a slice"
         (lambda (it) (mapped-slice (mapped-slice (mapped-slice it 1) 10000) 0 100))
         identity)
   (list "an empty slice and a slice behind it"
         (lambda (it) (cons (mapped-slice it n-bytes) (mapped-slice it 10001 100))) cdr)
   (list "a closure" (lambda (it) (let ((s (mapped-slice it 10001 100))) (lambda () s)))
         (lambda (it) (it)))
   (list "a hash table"
         (lambda (it) (let ((t (make-hash-table))) (hashq-set! t 'x (mapped-slice it 10001 100)) t))
         (lambda (it) (hashq-ref it 'x)))
   (list "a port" (lambda (it) (let ((p (open-mapped-port it))) (seek p 10001 SEEK_SET) p))
         (lambda (it) (get-bytevector-n it 100)))
   (list "a bytevector port of Guile's"
         (lambda (it) (open-bytevector-input-port (mapped-slice it 10001 100)))
         (lambda (it) (get-bytevector-n it 100)))
   (list "a pointer" (lambda (it) (bytevector->pointer it 10001))
         (lambda (it) (pointer->bytevector it 100)))
   (list "a bytevector made from a pointer"
         (lambda (it) (pointer->bytevector (bytevector->pointer it 10001) 100))
         identity)
   (list "a shared array"
         (lambda (it) (make-shared-array it (lambda (i) (list (+ i 10001))) 100))
         (lambda (it) (u8-list->bytevector (array->list it))))
   (list "a value in another thread"
         (lambda (it)
           (let* ((m (make-mutex)) (c (make-condition-variable)) (go #f)
                  (slice (mapped-slice it 10001 100))
                  (t (call-with-new-thread
                      (lambda ()
                        (with-mutex m (while (not go) (wait-condition-variable c m)))
                        slice))))
             (lambda () (with-mutex m (set! go #t) (signal-condition-variable c))
                     (join-thread t))))
         (lambda (it) (it)))))

(define (keep-many path make)
  (map (lambda (i) (make (map-file path))) (iota 20)))

(for-each
 (lambda (keeper)
   (with-file 7 n-bytes
     (lambda (path)
       (let ((things (keep-many path (list-ref keeper 1)))
             (read (list-ref keeper 2)))
         (make-noise)
         (collect-mappings)
         (make-noise)
         (collect-mappings)
         (is (n-maps-of path) 20 (string-append "mapped for " (list-ref keeper 0)))
         (ok (and-map (lambda (thing) (has-bytes? (read thing) 7 10001)) things)
             (string-append "and readable through " (list-ref keeper 0)))))))
 keepers)

;; What is only weakly held goes, and weak tables and guardians see it as anything else.
(define guardian (make-guardian))
(define weak-slices (make-weak-value-hash-table))
(with-file 7 n-bytes
  (lambda (path)
    (define (drop-many)
      (do ((i 0 (1+ i))) ((= i 100))
        (hashq-set! weak-slices i (mapped-slice (map-file path) i 100))))
    (drop-many)
    (ok (collect-until (lambda () (<= (n-maps-of path) 3)))
        "a weak table keeps no mapping")
    ;; A handle that is held by accident keeps a mapping, but no slice.
    (ok (<= (hash-fold (lambda (key value n) (1+ n)) 0 weak-slices) (n-maps-of path))
        "and forgets the slices")))
(with-file 7 n-bytes
  (lambda (path)
    (define (drop-many)
      (do ((i 0 (1+ i))) ((= i 100))
        (guardian (mapped-slice (map-file path) i 100))))
    (define (revive)
      (let loop ((n 0))
        (let ((slice (guardian)))
          (cond ((not slice) n)
                ((let ((first (bytevector-u8-ref slice 0)))
                   (or-map (lambda (i) (and (= first (byte-at 7 i)) (has-bytes? slice 7 i)))
                           (iota 100)))
                 (loop (1+ n)))
                (else #f)))))
    (drop-many)
    (let collect ((n 0) (rounds 0))
      (make-noise)
      (collect-mappings)
      (let ((more (revive)))
        (cond ((not more) (ok #f "a guardian gives slices back readable"))
              ((and (< (+ n more) 97) (< rounds 20)) (collect (+ n more) (1+ rounds)))
              (else (ok (>= (+ n more) 97) "a guardian gives slices back readable")))))
    (ok (collect-until (lambda () (<= (n-maps-of path) 3)))
        "and then they go")))

;; Pages that are traced keep what they point to.
(define (hide-in bytes count)
  (do ((i 0 (1+ i))) ((= i count))
    (bytevector-u64-native-set! bytes (* 8 i) (object-address (make-bytevector 16 (logand i 255))))))
(let ((searched (map-memory 8000 #:searched? #t)))
  (hide-in searched 1000)
  (make-noise) (collect-mappings) (make-noise) (collect-mappings)
  (ok (and-map (lambda (i)
                 (let ((it (pointer->scm (make-pointer (bytevector-u64-native-ref searched (* 8 i))))))
                   (and (bytevector? it) (= (bytevector-u8-ref it 15) (logand i 255)))))
               (iota 1000))
      "searched memory keeps what it points to"))

(finish)
