;;;; Whatever array has some of a mapping's bytes keeps all of it; forgotten mappings go.
;;;; SPDX-License-Identifier: MIT

(in-package "TAP")

(defun keep-many (path make)
  (loop repeat 20 collect (funcall make (gcmmap:map-file path))))

(loop for (name make read)
        in (list
            (list "the vector itself" #'identity (lambda (it) (gcmmap:mapped-slice it 10001 10101)))
            (list "a slice" (lambda (it) (gcmmap:mapped-slice it 10001 10101)) #'identity)
            (list "a slice of a slice"
                  (lambda (it) (gcmmap:mapped-slice (gcmmap:mapped-slice it 10000) 1 101))
                  #'identity)
            (list "a displaced array"
                  (lambda (it) (make-array 100 :element-type '(unsigned-byte 8) :displaced-to it
                                               :displaced-index-offset 10001))
                  #'identity)
            (list "a closure" (lambda (it) (let ((s (gcmmap:mapped-slice it 10001 10101)))
                                             (lambda () s)))
                  #'funcall)
            (list "a hash table" (lambda (it)
                                   (let ((table (make-hash-table)))
                                     (setf (gethash 1 table) (gcmmap:mapped-slice it 10001 10101))
                                     table))
                  (lambda (it) (gethash 1 it))))
      do (with-file (path 20000)
           (let ((things (keep-many path make)))
             (make-noise) (gcmmap:collect-mappings) (make-noise) (gcmmap:collect-mappings)
             (is (n-maps path) 20 (format nil "mapped for ~A" name))
             (ok (loop for thing in things always (has-bytes-p (funcall read thing) 10001))
                 (format nil "and readable through ~A" name)))))

(defun work (path n)
  (dotimes (i n)
    (let* ((bytes (gcmmap:map-file path :offset (mod i 5000)))
           (slice (gcmmap:mapped-slice bytes 10 20)))
      (unless (has-bytes-p slice (+ 10 (mod i 5000)))
        (error "wrong bytes at ~D" i)))))

(with-file (path 10000)
  (work path 1000)
  (gcmmap:collect-mappings)
  (let ((before (n-maps nil)) (most 0))
    (dotimes (round 5)
      (work path 1000)
      (setf most (max most (n-maps path))))
    (ok (< most 4000) "mappings do not pile up while nobody collects")
    (ok (collect-until (lambda () (<= (n-maps path) 5))) "all are gone in the end")
    (ok (<= (n-maps nil) (+ before 30)) "and the number of maps is what it was"))
  (mapc #'mp:process-join
        (loop for i below 3 collect (mp:process-run-function i #'work path 500)))
  (ok (collect-until (lambda () (<= (n-maps path) 5))) "those of other threads go, too")
  (let ((before (n-maps path)))
    (dotimes (i 500) (gcmmap:with-mapped-file (bytes path) (aref bytes 9999)))
    (is (n-maps path) before "early close unmaps at once")))
