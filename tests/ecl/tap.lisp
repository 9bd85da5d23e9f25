;;;; tap: TAP, files and witnesses for tests in ECL.
;;;; SPDX-License-Identifier: MIT

(defpackage "TAP"
  (:use "COMMON-LISP")
  (:export "RUN" "OK" "IS" "SIGNALS" "SIGNALS-ALL" "BYTE-AT" "HAS-BYTES-P" "WITH-FILE" "N-MAPS"
           "MAKE-NOISE" "COLLECT-UNTIL"))
(in-package "TAP")

(defvar *n-done* 0)
(defvar *n-failed* 0)

(defun ok (true name)
  (incf *n-done*)
  (unless true (incf *n-failed*))
  (format t "~:[not ok~;ok~] ~D - ~A~%" true *n-done* (substitute #\Space #\Newline name))
  (finish-output))

(defun is (got expected name)
  (ok (equalp got expected) name)
  (unless (equalp got expected)
    (format t "#      got: ~S~%# expected: ~S~%" got expected)))

(defun signals (type name function &optional (test (constantly t)))
  (let ((condition (handler-case (progn (funcall function) nil)
                     (condition (condition) condition))))
    (ok (and (typep condition type) (funcall test condition)) name)
    (unless (typep condition type)
      (format t "#      got: ~S~%# expected: ~S~%" condition type))))

(defmacro signals-all (&body forms)
  `(progn ,@(loop for (type form) in forms
                  collect `(signals ',type ,(format nil "~A: ~S" type form) (lambda () ,form)))))

(defun run (file)
  (handler-case (load file)
    (error (condition)
      (format t "Bail out! ~A~%" condition)
      (ext:quit 99)))
  (format t "1..~D~%" *n-done*)
  (finish-output)
  (ext:quit (if (zerop *n-failed*) 0 1)))

(defun byte-at (offset)
  (logand 255 (+ 7 (* 31 offset) (floor offset 251))))

(defun has-bytes-p (array offset)
  (loop for i below (length array)
        always (= (aref array i) (byte-at (+ i offset)))))

(defun call-with-file (n-bytes function)
  (let ((path (namestring (ext:mkstemp "/tmp/gcmmap-ecl-"))))
    (with-open-file (stream path :direction :output :if-exists :supersede
                                 :element-type '(unsigned-byte 8))
      (dotimes (i n-bytes) (write-byte (byte-at i) stream)))
    (unwind-protect (funcall function path)
      (when (probe-file path) (delete-file path)))))

(defmacro with-file ((path n-bytes) &body body)
  `(call-with-file ,n-bytes (lambda (,path) ,@body)))

(defun n-maps (path)
  "The kernel's word: lines of /proc/self/maps that name the file; all lines for NIL."
  (with-open-file (stream "/proc/self/maps")
    (loop for line = (read-line stream nil)
          while line count (or (null path) (search path line)))))

(defun make-noise ()
  (let ((list '()))
    (dotimes (i 5000)
      (push (make-array (* 8 (mod i 40)) :element-type '(unsigned-byte 8) :initial-element 85)
            list)
      (when (zerop (mod i 100)) (setf list '())))))

(defun collect-until (done)
  "Conservative collection may need more than one round."
  (loop repeat 20
        do (make-noise)
           (gcmmap:collect-mappings)
        thereis (funcall done)))
