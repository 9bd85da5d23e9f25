;;; Guile programs map files and forget them: the number of mappings stays flat.
;;; SPDX-License-Identifier: MIT

(use-modules (gcmmap) (guile tap) (ice-9 threads) (rnrs bytevectors))

(define (live) (assq-ref (mapping-statistics) 'live))

(define (work path n)
  (do ((i 0 (1+ i))) ((= i n))
    (let* ((bytes (map-file path #:offset (modulo i 5000)))
           (slice (mapped-slice bytes 10 50)))
      (unless (has-bytes? slice 3 (+ 10 (modulo i 5000)))
        (error "wrong bytes" i)))))

(with-file 3 10000
  (lambda (path)
    (work path 2000)
    (collect-mappings)
    (let ((before (n-maps-of #f)) (most 0))
      ;; No collection is asked for: gcmmap's own pace and Guile's finalizer thread do it.
      (do ((round 0 (1+ round))) ((= round 10))
        (work path 1000)
        (set! most (max most (n-maps-of path))))
      (ok (< most 4000) "mappings do not pile up while nobody collects")
      (ok (collect-until (lambda () (<= (n-maps-of path) 3))) "all are gone in the end")
      ;; The pool lies in pieces among the rest of the heap, a few more each time the heap grows.
      (ok (<= (n-maps-of #f) (+ before 1000)) "and the number of maps has not grown with theirs")
      (ok (<= (live) 3) "gcmmap counts the same"))

    (for-each join-thread
              (map (lambda (i) (call-with-new-thread (lambda () (work path 1500))))
                   (iota 4)))
    (ok (collect-until (lambda () (<= (n-maps-of path) 3))) "those of other threads go, too")

    (let ((before (assq-ref (mapping-statistics) 'released)))
      (work path 300)
      (do ((i 0 (1+ i))) ((= i 5)) (make-noise) (gc))
      ;; Anything that collects sets off the finalizer thread; see that it does the work.
      (let wait ((n 0))
        (when (and (< n 200) (> (live) 3))
          (usleep 10000) (gc) (wait (1+ n))))
      (ok (<= (live) 3) "Guile's own (gc) and its finalizer thread are enough"))

    (let ((before (n-maps-of path)))
      (do ((i 0 (1+ i))) ((= i 2000))
        (call-with-mapped-file path (lambda (bytes) (bytevector-u8-ref bytes 9999))))
      ;; What was held by accident before may go meanwhile.
      (ok (<= (n-maps-of path) before) "early close unmaps at once"))))

(finish)
