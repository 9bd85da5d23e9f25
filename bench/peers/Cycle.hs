-- Peer: Haskell.  mmapFileByteString, which opens and closes the file each time; GHC's own pace.
--
-- Usage: cycle BYTES CYCLES FILE; see compare.c for the protocol.
--
-- SPDX-License-Identifier: MIT
module Main (main) where

import Control.Concurrent (threadDelay)
import Control.Monad (replicateM_, unless)
import qualified Data.ByteString as B
import qualified Data.ByteString.Char8 as C
import qualified Data.ByteString.Unsafe as U
import Data.IORef
import GHC.Clock (getMonotonicTimeNSec)
import System.Environment (getArgs)
import System.IO
import System.IO.MMap (mmapFileByteString)
import System.Mem (performMajorGC)

cycleOnce :: FilePath -> Int -> IORef Int -> IO ()
cycleOnce path size total = do
  file <- mmapFileByteString path Nothing
  let slice = B.take 1 (B.drop (size `div` 2) file)
  modifyIORef' total (+ fromIntegral (U.unsafeIndex slice 0))
{-# NOINLINE cycleOnce #-}

mapped :: FilePath -> IO Int
mapped path = do
  maps <- B.readFile "/proc/self/maps"
  return $! length (filter (C.isSuffixOf (C.pack path)) (C.lines maps))

-- Finalizers run in a thread of their own.  When the last is gone, and how many are left.
releaseAll :: FilePath -> Int -> IO (Integer, Int)
releaseAll path tries = do
  performMajorGC
  now <- getMonotonicTimeNSec
  n <- mapped path
  if n > 0 && tries > 0
    then threadDelay 100 >> releaseAll path (tries - 1)
    else return (toInteger now, n)

rounds :: FilePath -> Int -> Int -> IORef Int -> IO ()
rounds path size n total = do
  over <- isEOF
  unless over $ do
    _ <- getLine
    start <- toInteger <$> getMonotonicTimeNSec
    replicateM_ n (cycleOnce path size total)
    looped <- toInteger <$> getMonotonicTimeNSec
    (ended, left) <- releaseAll path 50
    putStrLn (unwords [show (ended - start), show (looped - start), show left])
    hFlush stdout
    rounds path size n total

main :: IO ()
main = do
  [size, n, path] <- getArgs
  newIORef 0 >>= rounds path (read size) (read n)
