/*
 * Peer: Java.  FileChannel.map and ByteBuffer.slice; the virtual machine's own pace.
 *
 * Usage: java Cycle BYTES CYCLES FILE; see compare.c for the protocol.
 *
 * SPDX-License-Identifier: MIT
 */
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

public class Cycle {
    static int sum;
    static BufferPoolMXBean mapped;

    static void cycle(FileChannel file, int size) throws Exception {
        ByteBuffer all = file.map(FileChannel.MapMode.READ_ONLY, 0, size);
        ByteBuffer slice = all.slice(size / 2, 1);
        sum += slice.get(0);
    }

    static long releaseAll() throws Exception {
        for (int i = 0; i < 100 && mapped.getCount() > 0; i++) {
            System.gc();
            for (int w = 0; w < 50 && mapped.getCount() > 0; w++)
                Thread.sleep(0, 100000); // a thread of its own unmaps
        }
        return mapped.getCount();
    }

    public static void main(String[] args) throws Exception {
        int size = Integer.parseInt(args[0]), n = Integer.parseInt(args[1]);
        FileChannel file = FileChannel.open(Path.of(args[2]), StandardOpenOption.READ);

        for (BufferPoolMXBean pool : ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class))
            if (pool.getName().equals("mapped"))
                mapped = pool;
        for (int i = 0; i < 12000; i++) // so that all is compiled
            cycle(file, 4096);
        releaseAll();
        while (System.in.read() >= 0) {
            long start = System.nanoTime();
            for (int i = 0; i < n; i++)
                cycle(file, size);
            long looped = System.nanoTime() - start;
            long left = releaseAll();
            System.out.println((System.nanoTime() - start) + " " + looped + " " + left);
        }
    }
}
