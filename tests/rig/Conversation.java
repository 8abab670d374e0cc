import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

import org.infinispan.client.hotrod.DataFormat;
import org.infinispan.client.hotrod.Flag;
import org.infinispan.client.hotrod.MetadataValue;
import org.infinispan.client.hotrod.ProtocolVersion;
import org.infinispan.client.hotrod.RemoteCache;
import org.infinispan.client.hotrod.RemoteCacheManager;
import org.infinispan.client.hotrod.configuration.ClientIntelligence;
import org.infinispan.client.hotrod.configuration.ConfigurationBuilder;
import org.infinispan.commons.api.CacheContainerAdmin.AdminFlag;
import org.infinispan.commons.configuration.BasicConfiguration;
import org.infinispan.commons.dataconversion.MediaType;
import org.infinispan.commons.marshall.IdentityMarshaller;
import org.infinispan.commons.marshall.UTF8StringMarshaller;
import org.infinispan.commons.util.IntSets;

import io.reactivex.rxjava3.core.Flowable;

/**
 * Calls every cache operation of the Java client on a server, and writes a line for each result. Values that differ from
 * run to run are masked: versions, instants, message ids, ports. Two servers that behave the same yield the same
 * transcript.
 *
 * <p>Arguments: port, and the protocol versions to use, one conversation for each: "auto", "2.5", or "2.5/BASIC" for a
 * client that does not look at topologies. There must be no caches whose names begin with "conversation".
 */
public final class Conversation {
   private final RemoteCacheManager manager;
   private final String version;
   private String part = "";

   private Conversation(RemoteCacheManager manager, String version) {
      this.manager = manager;
      this.version = version;
   }

   public static void main(String[] arguments) {
      for (String version : Arrays.asList(arguments).subList(1, arguments.length)) {
         String[] spoken = version.split("/");
         ConfigurationBuilder builder = new ConfigurationBuilder();
         builder.addServer().host("127.0.0.1").port(Integer.parseInt(arguments[0]));
         builder.socketTimeout(15_000).connectionTimeout(15_000).maxRetries(0);
         if (!spoken[0].equals("auto")) {
            builder.version(ProtocolVersion.parseVersion(spoken[0]));
         }
         if (spoken.length > 1) {
            builder.clientIntelligence(ClientIntelligence.valueOf(spoken[1]));
         }
         try (RemoteCacheManager manager = new RemoteCacheManager(builder.build())) {
            new Conversation(manager, version).converse();
         }
      }
      System.out.flush();
      // Threads of old clients may live on.
      System.exit(0);
   }

   private void converse() {
      administration();
      strings(cache("conversation-protostream", "application/x-protostream"));
      conditions(cache("conversation-conditions", "application/x-protostream"));
      previous(cache("conversation-previous", "application/x-protostream"));
      lifetimes(cache("conversation-lifetimes", "application/x-protostream"));
      many(cache("conversation-many", "application/x-protostream"));
      iteration(cache("conversation-iteration", "application/x-protostream"));
      functions(cache("conversation-functions", "application/x-protostream"));
      asynchronous(cache("conversation-async", "application/x-protostream"));
      tasks(cache("conversation-tasks", "application/x-protostream"));
      types(cache("conversation-types", "application/x-protostream"));
      sizes(cache("conversation-sizes", "application/x-protostream"));
      octets(cache("conversation-octets", "application/octet-stream"));
      formats(cache("conversation-formats", "application/x-protostream"));
      text(cache("conversation-text", "text/plain"));
      json(cache("conversation-json", "application/json"));
      statistics(cache("conversation-statistics", "application/x-protostream"));
      ending();
   }

   private void administration() {
      part = "administration";
      step("unknown cache", () -> manager.getCache("conversation-nowhere"));
      var administration = manager.administration().withFlags(AdminFlag.VOLATILE);
      step("create from a template", () -> administration.createCache("conversation-template", "org.infinispan.DIST_SYNC").getName());
      step("create it again", () -> administration.createCache("conversation-template", "org.infinispan.DIST_SYNC"));
      step("get or create what there is", () -> administration.getOrCreateCache("conversation-template", "org.infinispan.DIST_SYNC").getName());
      for (String template : List.of("LOCAL", "REPL_SYNC", "REPL_ASYNC", "DIST_ASYNC")) {
         step("create from " + template, () -> {
            String name = "conversation-" + template;
            RemoteCache<String, String> created = administration.createCache(name, "org.infinispan." + template);
            created.put("a", "1");
            return List.of(created.get("a"), segments(name));
         });
      }
      step("create one that lasts", () -> manager.administration().createCache("conversation-lasting", "org.infinispan.DIST_SYNC").getName());
      step("get or create from an unknown template", () -> administration.getOrCreateCache("conversation-nothing", "no-such-template"));
      step("create under an odd name", () -> {
         RemoteCache<String, String> odd = administration.createCache("conversation-ä/b c", "org.infinispan.DIST_SYNC");
         odd.put("a", "1");
         return odd.get("a");
      });
      step("create from an unknown template", () -> administration.createCache("conversation-nothing", "no-such-template"));
      step("create from XML", () -> administration.createCache("conversation-xml", configuration(xml("conversation-xml", "text/plain"))).getName());
      step("create from XML again", () -> administration.createCache("conversation-xml", configuration(xml("conversation-xml", "text/plain"))));
      step("get or create from XML", () -> administration.getOrCreateCache("conversation-xml-2",
            configuration("<replicated-cache name=\"conversation-xml-2\"><encoding media-type=\"text/plain\"/></replicated-cache>")).getName());
      step("get or create from JSON", () -> administration.getOrCreateCache("conversation-json-1",
            configuration("{\"local-cache\":{\"encoding\":{\"media-type\":\"application/json\"},\"expiration\":{\"lifespan\":\"5000\"}}}")).getName());
      step("create from YAML", () -> administration.createCache("conversation-yaml",
            configuration("distributedCache:\n  mode: \"SYNC\"\n  encoding:\n    mediaType: \"text/plain\"\n")).getName());
      step("create from what is no configuration", () -> administration.createCache("conversation-nothing", configuration("<nonsense/>")));
      step("names", this::names);
      step("segments of a distributed cache", () -> segments("conversation-template"));
      step("segments of a replicated cache", () -> segments("conversation-xml-2"));
      step("segments of a local cache", () -> segments("conversation-json-1"));
      step("put into a local cache", () -> manager.getCache("conversation-json-1").put("a", "b"));
      step("remove", () -> {
         administration.removeCache("conversation-template");
         return names();
      });
      step("remove what is not there", () -> {
         administration.removeCache("conversation-template");
         return "done";
      });
      step("the removed cache", () -> manager.getCache("conversation-template"));
      RemoteCache<String, String> removed = manager.getCache("conversation-xml-2");
      step("remove one that is in use", () -> {
         administration.removeCache("conversation-xml-2");
         return "done";
      });
      step("get from a removed cache", () -> removed.get("a"));
   }

   private void strings(RemoteCache<String, String> cache) {
      part = "strings";
      step("get nothing", () -> cache.get("a"));
      step("put", () -> cache.put("a", "1"));
      step("get", () -> cache.get("a"));
      step("put again", () -> cache.put("a", "2"));
      step("contains", () -> cache.containsKey("a"));
      step("contains nothing", () -> cache.containsKey("b"));
      step("put if absent, present", () -> cache.putIfAbsent("a", "3"));
      step("put if absent, absent", () -> cache.putIfAbsent("b", "3"));
      step("replace", () -> cache.replace("a", "4"));
      step("replace nothing", () -> cache.replace("c", "4"));
      step("metadata", () -> cache.getWithMetadata("a"));
      step("metadata of nothing", () -> cache.getWithMetadata("c"));
      step("get or default", () -> cache.getOrDefault("c", "default"));
      step("size", cache::size);
      step("is empty", cache::isEmpty);
      step("contains a value", () -> cache.containsValue("4"));
      step("contains no such value", () -> cache.containsValue("5"));
      step("remove", () -> cache.remove("a"));
      step("remove nothing", () -> cache.remove("a"));
      step("get the removed", () -> cache.get("a"));
      step("a name", () -> cache.getName());
      step("protocol", () -> cache.getProtocolVersion());
      step("clear", () -> {
         cache.clear();
         return cache.size();
      });
      step("is empty after that", cache::isEmpty);
      step("null key", () -> cache.get(null));
      step("null value", () -> cache.put("a", null));
   }

   private void conditions(RemoteCache<String, String> cache) {
      part = "conditions";
      cache.put("a", "1");
      MetadataValue<String> first = cache.getWithMetadata("a");
      step("replace with the version", () -> cache.replaceWithVersion("a", "2", first.getVersion()));
      step("replace with the old version", () -> cache.replaceWithVersion("a", "3", first.getVersion()));
      step("get", () -> cache.get("a"));
      step("the version is another one", () -> cache.getWithMetadata("a").getVersion() != first.getVersion());
      step("replace nothing with a version", () -> cache.replaceWithVersion("b", "3", 7));
      step("remove with the old version", () -> cache.removeWithVersion("a", first.getVersion()));
      step("remove nothing with a version", () -> cache.removeWithVersion("b", 7));
      step("remove with the version", () -> cache.removeWithVersion("a", cache.getWithMetadata("a").getVersion()));
      step("get the removed", () -> cache.get("a"));
      cache.put("c", "1");
      step("replace with version and lifespan", () -> cache.replaceWithVersion("c", "2", cache.getWithMetadata("c").getVersion(), 100, 50));
      step("metadata", () -> cache.getWithMetadata("c"));
      step("replace a value", () -> cache.replace("c", "2", "3"));
      step("replace another value", () -> cache.replace("c", "2", "4"));
      step("remove another value", () -> cache.remove("c", "2"));
      step("remove a value", () -> cache.remove("c", "3"));
      step("size", cache::size);
   }

   private void previous(RemoteCache<String, String> plain) {
      part = "previous";
      step("put nothing before", () -> returning(plain).put("a", "1"));
      step("put", () -> returning(plain).put("a", "2"));
      step("put if absent, present", () -> returning(plain).putIfAbsent("a", "3"));
      step("put if absent, absent", () -> returning(plain).putIfAbsent("b", "3"));
      step("replace", () -> returning(plain).replace("a", "4"));
      step("replace nothing", () -> returning(plain).replace("c", "4"));
      step("replace with the old version", () -> returning(plain).replaceWithVersion("a", "5", 7));
      step("remove with the old version", () -> returning(plain).removeWithVersion("a", 7));
      step("remove", () -> returning(plain).remove("a"));
      step("remove nothing", () -> returning(plain).remove("a"));
      step("put with lifespan", () -> returning(plain).put("d", "1", 100, TimeUnit.SECONDS, 50, TimeUnit.SECONDS));
      step("put over a lifespan", () -> returning(plain).put("d", "2"));
      step("put if absent with lifespan", () -> returning(plain).putIfAbsent("d", "3", 100, TimeUnit.SECONDS));
      step("replace with lifespan", () -> returning(plain).replace("d", "3", 100, TimeUnit.SECONDS));
      step("replace with the version", () -> returning(plain).replaceWithVersion("d", "4", plain.getWithMetadata("d").getVersion()));
      step("remove with the version", () -> returning(plain).removeWithVersion("b", plain.getWithMetadata("b").getVersion()));
      step("without an index", () -> plain.withFlags(Flag.SKIP_INDEXING).put("d", "2"));
      step("with all flags that skip", () -> plain.withFlags(Flag.FORCE_RETURN_VALUE, Flag.SKIP_CACHE_LOAD, Flag.SKIP_INDEXING,
            Flag.SKIP_LISTENER_NOTIFICATION).put("d", "5"));
      step("remove without the loader", () -> plain.withFlags(Flag.FORCE_RETURN_VALUE, Flag.SKIP_CACHE_LOAD).remove("d"));
      step("without the loader", () -> plain.withFlags(Flag.SKIP_CACHE_LOAD).get("d"));
      step("put without events", () -> plain.withFlags(Flag.SKIP_LISTENER_NOTIFICATION).put("d", "3"));
      step("empty before", () -> {
         plain.put("e", "");
         return returning(plain).put("e", "1");
      });
   }

   private static void nextMillisecond() {
      long begin = System.currentTimeMillis();
      while (System.currentTimeMillis() <= begin + 1) {
         Thread.onSpinWait();
      }
   }

   private void lifetimes(RemoteCache<String, String> cache) {
      part = "lifetimes";
      step("put with lifespan", () -> cache.put("a", "1", 100, TimeUnit.SECONDS));
      step("metadata", () -> cache.getWithMetadata("a"));
      step("put with both", () -> cache.put("b", "1", 2, TimeUnit.MINUTES, 1, TimeUnit.MINUTES));
      step("metadata of both", () -> cache.getWithMetadata("b"));
      step("put with max idle", () -> cache.put("c", "1", -1, TimeUnit.SECONDS, 3, TimeUnit.HOURS));
      step("metadata of max idle", () -> cache.getWithMetadata("c"));
      step("put if absent with lifespan", () -> cache.putIfAbsent("d", "1", 4, TimeUnit.DAYS));
      step("metadata of put if absent", () -> cache.getWithMetadata("d"));
      step("replace with lifespan", () -> cache.replace("d", "2", 50, TimeUnit.DAYS));
      // An expired entry exists until the millisecond is over.
      nextMillisecond();
      step("metadata of more than thirty days", () -> cache.getWithMetadata("d"));
      step("part of a second", () -> {
         cache.put("e", "1", 61_500, TimeUnit.MILLISECONDS);
         return cache.getWithMetadata("e");
      });
      step("lifespan in microseconds", () -> {
         cache.put("e", "1", 90_000_000, TimeUnit.MICROSECONDS, 45_500_000, TimeUnit.MICROSECONDS);
         return cache.getWithMetadata("e");
      });
      step("lifespan in nanoseconds", () -> {
         cache.put("e", "1", 90_000_000_000L, TimeUnit.NANOSECONDS, 45_500_000_000L, TimeUnit.NANOSECONDS);
         return cache.getWithMetadata("e");
      });
      step("lifespan of nothing", () -> {
         cache.put("zero", "1", 0, TimeUnit.SECONDS);
         return cache.getWithMetadata("zero");
      });
      step("lifespan of ten years", () -> {
         cache.put("e", "1", 3_650, TimeUnit.DAYS, 3_650, TimeUnit.DAYS);
         // To protocol 2.4 this is an instant long past: a real server still shows such an entry in the millisecond of its write.
         for (long written = System.currentTimeMillis(); System.currentTimeMillis() <= written + 1;) {
            Thread.onSpinWait();
         }
         return cache.getWithMetadata("e");
      });
      step("put all with both", () -> {
         cache.putAll(Map.of("zero", "2"), 90, TimeUnit.MINUTES, 30, TimeUnit.MINUTES);
         return cache.getWithMetadata("zero");
      });
      step("put without lifespan over one", () -> {
         cache.put("e", "2");
         return cache.getWithMetadata("e");
      });
      step("an entry ends", () -> {
         cache.put("f", "1", 300, TimeUnit.MILLISECONDS);
         return ends(cache, "f");
      });
      step("an idle entry ends", () -> {
         cache.put("g", "1", -1, TimeUnit.SECONDS, 300, TimeUnit.MILLISECONDS);
         return endsUnseen(cache, "g");
      });
      step("put all with lifespan", () -> {
         cache.putAll(Map.of("h", "1", "i", "1"), 100, TimeUnit.SECONDS);
         return List.of(shown(cache.getWithMetadata("h")), shown(cache.getWithMetadata("i")));
      });
      step("size", cache::size);
      RemoteCache<String, String> defaults = cache("conversation-defaults", "application/x-protostream", "<expiration lifespan=\"100000\" max-idle=\"50000\"/>");
      step("default", () -> {
         defaults.put("a", "1");
         return defaults.getWithMetadata("a");
      });
      step("none in spite of the default", () -> {
         defaults.put("b", "1", -1, TimeUnit.SECONDS, -1, TimeUnit.SECONDS);
         return defaults.getWithMetadata("b");
      });
      step("another one than the default", () -> {
         defaults.put("c", "1", 10, TimeUnit.SECONDS, 5, TimeUnit.SECONDS);
         return defaults.getWithMetadata("c");
      });
      step("default by flags", () -> {
         defaults.withFlags(Flag.DEFAULT_LIFESPAN, Flag.DEFAULT_MAXIDLE).put("d", "1", 10, TimeUnit.SECONDS);
         return defaults.getWithMetadata("d");
      });
   }

   private void many(RemoteCache<String, String> cache) {
      part = "many";
      Map<String, String> all = new HashMap<>();
      for (int i = 0; i < 500; i++) {
         all.put("key-" + i, "value-" + i);
      }
      step("put all", () -> {
         cache.putAll(all);
         return cache.size();
      });
      step("get all", () -> cache.getAll(all.keySet()).equals(all));
      step("get some, and some that are not there", () -> cache.getAll(Set.of("key-1", "key-2", "nothing")));
      step("get none", () -> cache.getAll(Set.of("nothing")));
      step("get all of nothing", () -> cache.getAll(Set.of()));
      step("put all of nothing", () -> {
         cache.putAll(Map.of());
         return cache.size();
      });
      step("keys", () -> new TreeSet<>(cache.keySet()).equals(new TreeSet<>(all.keySet())));
      step("entries", () -> {
         Map<String, String> found = new HashMap<>();
         cache.entrySet().forEach(entry -> found.put(entry.getKey(), entry.getValue()));
         return found.equals(all);
      });
      step("values", () -> cache.values().size());
      step("stream of entries", () -> cache.entrySet().stream().filter(entry -> entry.getKey().endsWith("9")).count());
      step("stream of keys", () -> cache.keySet().stream().mapToInt(String::length).sum());
      step("remove by the set of keys", () -> cache.keySet().remove("key-7"));
      step("contains in the set of keys", () -> cache.keySet().contains("key-7"));
      step("remove by the set of entries", () -> cache.entrySet().remove(Map.entry("key-8", "value-8")));
      step("size", cache::size);
      step("clear", () -> {
         cache.clear();
         return cache.size();
      });
   }

   private void iteration(RemoteCache<String, String> cache) {
      part = "iteration";
      for (int i = 0; i < 100; i++) {
         if (i % 2 == 0) {
            cache.put("key-" + i, "value-" + i);
         } else {
            cache.put("key-" + i, "value-" + i, 1000 + i, TimeUnit.SECONDS, 500 + i, TimeUnit.SECONDS);
         }
      }
      step("entries in small batches", () -> drained(cache.retrieveEntries(null, 7)));
      step("entries of some segments", () -> drained(cache.retrieveEntries(null, segmentSet(0, 64), 10)));
      step("entries of the other segments", () -> drained(cache.retrieveEntries(null, segmentSet(64, 256), 10)));
      step("entries of no segment", () -> drained(cache.retrieveEntries(null, Set.of(), 10)));
      step("entries with metadata", () -> drained(cache.retrieveEntriesWithMetadata(null, 10)));
      step("entries of a segment with metadata", () -> drained(cache.retrieveEntriesWithMetadata(segmentSet(3, 4), 10)));
      step("keys of some segments", () -> new TreeSet<>(cache.keySet(IntSets.from(segmentSet(0, 64)))));
      step("values of some segments", () -> new TreeSet<>(cache.values(IntSets.from(segmentSet(64, 128)))));
      step("entries of half of the segments", () -> cache.entrySet(IntSets.from(segmentSet(128, 256))).stream().map(Object::toString).sorted()
            .collect(Collectors.toList()));
      step("published entries", () -> Flowable.fromPublisher(cache.publishEntries(null, null, null, 10)).map(Object::toString).sorted().toList().blockingGet());
      step("published entries with metadata", () -> Flowable.fromPublisher(cache.publishEntriesWithMetadata(segmentSet(0, 32), 10))
            .map(entry -> entry.getKey() + "=" + shown(entry.getValue())).sorted().toList().blockingGet());
      step("batches of one", () -> drained(cache.retrieveEntries(null, 1)));
      step("many at once", () -> {
         try (var one = cache.retrieveEntries(null, 10); var other = cache.retrieveEntries(null, 3)) {
            int seen = 0;
            while (one.hasNext() && other.hasNext()) {
               one.next();
               other.next();
               seen++;
            }
            return List.of(seen, one.hasNext(), other.hasNext());
         }
      });
      step("left in the middle", () -> {
         try (var entries = cache.retrieveEntries(null, 10)) {
            return entries.next() != null && entries.hasNext();
         }
      });
      step("through an unknown filter", () -> drained(cache.retrieveEntries("no-such-filter", 10)));
   }

   private void functions(RemoteCache<String, String> cache) {
      part = "functions";
      step("compute", () -> cache.compute("a", (key, value) -> value + "1"));
      step("compute again", () -> cache.compute("a", (key, value) -> value + "2"));
      step("compute to nothing", () -> cache.compute("a", (key, value) -> null));
      step("compute if absent", () -> cache.computeIfAbsent("b", key -> "1"));
      step("compute if absent, present", () -> cache.computeIfAbsent("b", key -> "2"));
      step("compute if present", () -> cache.computeIfPresent("b", (key, value) -> value + "3"));
      step("compute if present, absent", () -> cache.computeIfPresent("c", (key, value) -> value + "3"));
      step("merge", () -> cache.merge("b", "4", String::concat));
      step("replace all", () -> {
         cache.replaceAll((key, value) -> value + "5");
         return cache.get("b");
      });
      step("for each", () -> {
         List<String> seen = new ArrayList<>();
         cache.forEach((key, value) -> seen.add(key + "=" + value));
         return seen;
      });
   }

   private void asynchronous(RemoteCache<String, String> cache) {
      part = "async";
      step("put", () -> cache.putAsync("a", "1").get());
      step("put with lifespan", () -> cache.putAsync("b", "1", 100, TimeUnit.SECONDS, 50, TimeUnit.SECONDS).get());
      step("get", () -> cache.getAsync("a").get());
      step("contains", () -> cache.containsKeyAsync("a").get());
      step("put if absent", () -> cache.putIfAbsentAsync("a", "2").get());
      step("replace", () -> cache.replaceAsync("a", "3").get());
      step("metadata", () -> cache.getWithMetadataAsync("b").get());
      step("replace with version", () -> cache.replaceWithVersionAsync("a", "4", cache.getWithMetadata("a").getVersion()).get());
      step("remove with version", () -> cache.removeWithVersionAsync("a", 7).get());
      step("get all", () -> cache.getAllAsync(Set.of("a", "b")).get());
      step("put all", () -> cache.putAllAsync(Map.of("c", "1", "d", "1")).get());
      step("many at once", () -> {
         var puts = new ArrayList<java.util.concurrent.CompletableFuture<?>>();
         for (int i = 0; i < 1000; i++) {
            puts.add(cache.putAsync("many-" + i, "value-" + i));
         }
         for (var put : puts) {
            put.get();
         }
         return cache.size();
      });
      step("remove", () -> cache.removeAsync("a").get());
      step("clear", () -> {
         cache.clearAsync().get();
         return cache.size();
      });
   }

   private void tasks(RemoteCache<String, String> cache) {
      part = "tasks";
      step("an unknown task", () -> cache.execute("no-such-task", Map.of()));
      step("put after that", () -> cache.put("a", "1"));
   }

   private void types(RemoteCache<?, ?> untyped) {
      part = "types";
      RemoteCache<Object, Object> cache = of(untyped);
      List<Object> values = List.of("text", "", "grüße, 世界 \uD83C\uDF0D", 7, -7, Integer.MAX_VALUE, 7L, Long.MIN_VALUE, 1.5, 2.5f,
            true, false, 'c', (short) 3, (byte) 4, new byte[]{1, 2, 3}, new byte[0]);
      for (Object value : values) {
         String type = value.getClass().getSimpleName();
         step(type + " as value", () -> {
            cache.put("value", value);
            return cache.get("value");
         });
         step(type + " as key", () -> {
            cache.put(value, "value");
            return cache.get(value);
         });
      }
      step("keys", () -> drained(cache.retrieveEntries(null, 100)));
      step("a list", () -> {
         cache.put("list", new ArrayList<>(List.of("a", 1)));
         return cache.get("list");
      });
      step("an instant", () -> {
         cache.put("instant", java.time.Instant.ofEpochSecond(1_700_000_000));
         return cache.get("instant").toString();
      });
   }

   private void sizes(RemoteCache<?, ?> untyped) {
      part = "sizes";
      RemoteCache<Object, Object> cache = of(untyped);
      for (int size : new int[]{0, 1, 127, 128, 1_000, 16_383, 16_384, 65_536, 1_000_000, 9_000_000}) {
         step(size + " bytes", () -> {
            byte[] value = new byte[size];
            Arrays.fill(value, (byte) size);
            cache.put("key", value);
            return Arrays.equals((byte[]) cache.get("key"), value);
         });
      }
      step("a long key", () -> {
         String key = "k".repeat(10_000);
         cache.put(key, "value");
         return List.of(cache.get(key), cache.containsKey(key), cache.remove(key) == null);
      });
      step("an empty key", () -> {
         cache.put("", "value");
         return List.of(cache.get(""), cache.containsKey(""));
      });
      step("large values in one map", () -> {
         Map<Object, Object> large = new HashMap<>();
         for (int i = 0; i < 20; i++) {
            large.put("large-" + i, new byte[100_000]);
         }
         cache.putAll(large);
         return cache.getAll(large.keySet()).size();
      });
      step("large values in one iteration", () -> {
         int bytes = 0;
         try (var entries = cache.retrieveEntries(null, 100)) {
            while (entries.hasNext()) {
               if (entries.next().getValue() instanceof byte[] value) {
                  bytes += value.length;
               }
            }
         }
         return bytes;
      });
   }

   private void octets(RemoteCache<?, ?> untyped) {
      part = "octets";
      RemoteCache<byte[], byte[]> cache = untyped.withDataFormat(DataFormat.builder()
            .keyType(MediaType.APPLICATION_OCTET_STREAM).keyMarshaller(IdentityMarshaller.INSTANCE)
            .valueType(MediaType.APPLICATION_OCTET_STREAM).valueMarshaller(IdentityMarshaller.INSTANCE).build());
      byte[] key = {0, (byte) 0xff, 10, 13};
      step("put", () -> cache.put(key, new byte[]{1, 2, 3}));
      step("get", () -> cache.get(key));
      step("metadata", () -> cache.getWithMetadata(key));
      step("contains", () -> cache.containsKey(key));
      step("empty value", () -> {
         cache.put(key, new byte[0]);
         return cache.get(key);
      });
      step("key of one byte", () -> {
         cache.put(new byte[]{0}, new byte[]{9});
         return cache.get(new byte[]{0});
      });
      step("key of no byte", () -> {
         cache.put(new byte[0], new byte[]{8});
         return List.of(shown(cache.get(new byte[0])), cache.containsKey(new byte[0]));
      });
      step("replace with version", () -> cache.replaceWithVersion(key, new byte[]{4}, cache.getWithMetadata(key).getVersion()));
      step("entries", () -> drained(cache.retrieveEntries(null, 10)));
      step("entries with metadata", () -> drained(cache.retrieveEntriesWithMetadata(null, 10)));
      step("remove", () -> returning(cache).remove(key));
      step("size", cache::size);
      RemoteCache<String, String> text = as(untyped, MediaType.TEXT_PLAIN);
      step("put as text", () -> text.put("text", "value"));
      step("get as text", () -> text.get("text"));
      step("get the text as octets", () -> cache.get("text".getBytes(StandardCharsets.UTF_8)));
      RemoteCache<Object, Object> objects = of(untyped);
      step("put with the default marshaller", () -> objects.put("object", "value"));
      step("get with the default marshaller", () -> objects.get("object"));
   }

   private void formats(RemoteCache<?, ?> untyped) {
      part = "formats";
      RemoteCache<Object, Object> cache = of(untyped);
      cache.put("text", "value");
      cache.put("number", 7);
      cache.put("truth", true);
      RemoteCache<String, String> text = as(untyped, MediaType.TEXT_PLAIN);
      step("get as text", () -> text.get("text"));
      step("get a number as text", () -> text.get("number"));
      step("put as text", () -> text.put("from text", "plain"));
      step("get what was put as text", () -> cache.get("from text"));
      step("metadata as text", () -> text.getWithMetadata("from text"));
      step("contains as text", () -> text.containsKey("text"));
      step("get all as text", () -> text.getAll(Set.of("text", "from text")));
      step("entries as text", () -> drained(text.retrieveEntries(null, 10)));
      step("remove as text", () -> returning(text).remove("from text"));
      RemoteCache<String, String> json = as(untyped, MediaType.APPLICATION_JSON);
      String key = "{\"_type\":\"string\",\"_value\":\"text\"}";
      step("get as JSON", () -> json.get(key));
      step("get a number as JSON", () -> json.get("{\"_type\":\"string\",\"_value\":\"number\"}"));
      step("get a truth value as JSON", () -> json.get("{\"_type\":\"string\",\"_value\":\"truth\"}"));
      step("put as JSON", () -> json.put("{\"_type\":\"string\",\"_value\":\"from JSON\"}", "{\"_type\":\"int32\",\"_value\":8}"));
      step("get what was put as JSON", () -> cache.get("from JSON"));
      step("replace as JSON", () -> returning(json).replace(key, "{\"_type\":\"string\",\"_value\":\"new\"}"));
      step("put what is no JSON", () -> json.put(key, "{nonsense"));
      step("get after that", () -> cache.get("text"));
      RemoteCache<Object, String> mixed = untyped.withDataFormat(DataFormat.builder().valueType(MediaType.TEXT_PLAIN).valueMarshaller(new UTF8StringMarshaller()).build());
      step("get text under a marshalled key", () -> mixed.get("text"));
      RemoteCache<Object, String> mixedJson = untyped.withDataFormat(DataFormat.builder().valueType(MediaType.APPLICATION_JSON).valueMarshaller(new UTF8StringMarshaller()).build());
      step("get JSON under a marshalled key", () -> mixedJson.get("number"));
      step("get as octets under a marshalled key", () -> untyped.withDataFormat(DataFormat.builder()
            .valueType(MediaType.APPLICATION_OCTET_STREAM).valueMarshaller(IdentityMarshaller.INSTANCE).build()).get("number"));
      step("get as XML", () -> as(untyped, MediaType.APPLICATION_XML).get("text"));
      step("get as an image", () -> as(untyped, MediaType.IMAGE_PNG).get("text"));
   }

   private void text(RemoteCache<?, ?> untyped) {
      part = "text";
      RemoteCache<String, String> text = as(untyped, MediaType.TEXT_PLAIN);
      step("put", () -> text.put("a", "value"));
      step("get", () -> text.get("a"));
      step("more than ASCII", () -> {
         text.put("ü", "grüße, 世界");
         return text.get("ü");
      });
      step("empty", () -> {
         text.put("empty", "");
         return text.get("empty");
      });
      step("metadata", () -> text.getWithMetadata("a"));
      step("entries", () -> drained(text.retrieveEntries(null, 10)));
      RemoteCache<Object, Object> objects = of(untyped);
      step("get with the default marshaller", () -> objects.get("a"));
      step("put with the default marshaller", () -> objects.put("b", "marshalled"));
      step("get what was put with it", () -> text.get("b"));
      step("put a number with it", () -> objects.put("n", 7));
      step("get the number", () -> text.get("n"));
      RemoteCache<String, String> json = as(untyped, MediaType.APPLICATION_JSON);
      step("get as JSON", () -> json.get("a"));
      step("put JSON", () -> json.put("\"j\"", "{\"a\":1}"));
      RemoteCache<byte[], byte[]> octets = untyped.withDataFormat(DataFormat.builder()
            .keyType(MediaType.APPLICATION_OCTET_STREAM).keyMarshaller(IdentityMarshaller.INSTANCE)
            .valueType(MediaType.APPLICATION_OCTET_STREAM).valueMarshaller(IdentityMarshaller.INSTANCE).build());
      step("get as octets", () -> octets.get("a".getBytes(StandardCharsets.UTF_8)));
   }

   private void json(RemoteCache<?, ?> untyped) {
      part = "json";
      RemoteCache<String, String> json = as(untyped, MediaType.APPLICATION_JSON);
      step("put", () -> json.put("\"a\"", "{\"number\":1,\"text\":\"value\"}"));
      step("get", () -> json.get("\"a\""));
      step("size", json::size);
      RemoteCache<String, String> text = as(untyped, MediaType.TEXT_PLAIN);
      step("get as text", () -> text.get("\"a\""));
   }

   private void statistics(RemoteCache<String, String> cache) {
      part = "statistics";
      counted(cache, "nothing", () -> null);
      counted(cache, "put", () -> cache.put("a", "1"));
      counted(cache, "put again", () -> cache.put("a", "2"));
      counted(cache, "put with previous", () -> returning(cache).put("a", "3"));
      counted(cache, "get", () -> cache.get("a"));
      counted(cache, "get nothing", () -> cache.get("b"));
      counted(cache, "get with metadata", () -> cache.getWithMetadata("a"));
      counted(cache, "contains", () -> cache.containsKey("a"));
      counted(cache, "contains nothing", () -> cache.containsKey("b"));
      counted(cache, "put if absent, present", () -> cache.putIfAbsent("a", "4"));
      counted(cache, "put if absent, absent", () -> cache.putIfAbsent("b", "1"));
      counted(cache, "replace", () -> cache.replace("a", "5"));
      counted(cache, "replace nothing", () -> cache.replace("c", "5"));
      counted(cache, "replace with the old version", () -> cache.replaceWithVersion("a", "6", 7));
      long version = cache.getWithMetadata("a").getVersion();
      counted(cache, "replace with the version", () -> cache.replaceWithVersion("a", "6", version));
      counted(cache, "remove with the old version", () -> cache.removeWithVersion("a", version));
      long newer = cache.getWithMetadata("a").getVersion();
      counted(cache, "remove with the version", () -> cache.removeWithVersion("a", newer));
      counted(cache, "remove nothing with a version", () -> cache.removeWithVersion("a", newer));
      counted(cache, "remove", () -> cache.remove("b"));
      counted(cache, "remove nothing", () -> cache.remove("b"));
      counted(cache, "put all", () -> {
         cache.putAll(Map.of("a", "1", "b", "1", "c", "1"));
         return null;
      });
      counted(cache, "get all", () -> cache.getAll(Set.of("a", "b", "d")));
      counted(cache, "iterate", () -> drained(cache.retrieveEntries(null, 10)));
      step("entries now", () -> cache.serverStatistics().getStatistic("approximateEntries"));
      step("unique entries now", () -> cache.serverStatistics().getStatistic("approximateEntriesUnique"));
      step("exact entries", () -> cache.serverStatistics().getStatistic("currentNumberOfEntries"));
      Set<String> names = new TreeSet<>(cache.serverStatistics().getStatsMap().keySet());
      step("names of totals", () -> names.stream().filter(name -> name.startsWith("total")).collect(Collectors.toList()));
      step("other names", () -> names.stream().filter(name -> !name.startsWith("total")).collect(Collectors.toList()));
   }

   /** Writes by how much an operation changed the statistics. */
   private void counted(RemoteCache<String, String> cache, String name, Callable<Object> said) {
      step(name, () -> {
         Map<String, String> before = cache.serverStatistics().getStatsMap();
         said.call();
         Map<String, String> after = cache.serverStatistics().getStatsMap();
         Map<String, Long> counted = new TreeMap<>();
         for (String statistic : List.of("stores", "retrievals", "hits", "misses", "removeHits", "removeMisses")) {
            long difference = Long.parseLong(after.get(statistic)) - Long.parseLong(before.get(statistic));
            if (difference != 0) {
               counted.put(statistic, difference);
            }
         }
         return counted;
      });
   }

   private void ending() {
      part = "ending";
      step("remove all", () -> {
         for (Object name : names()) {
            manager.administration().removeCache((String) name);
         }
         return names();
      });
   }

   // Runs the steps and formats their results.

   private void step(String name, Callable<Object> said) {
      String outcome;
      try {
         outcome = shown(said.call());
      } catch (Throwable thrown) {
         outcome = failure(thrown);
         settle();
      }
      System.out.println(version + " " + part + ": " + name + " -> " + outcome);
   }

   /** Waits until operations succeed: old clients close a connection after an unreadable answer, and may still reuse it once. */
   private void settle() {
      for (int attempts = 0; attempts < 10; attempts++) {
         try {
            manager.getCache("___protobuf_metadata").size();
            return;
         } catch (RuntimeException closing) {
            continue;
         }
      }
   }

   private static String shown(Object value) {
      if (value == null) {
         return "null";
      }
      if (value instanceof byte[] bytes) {
         return bytes.length > 100 ? bytes.length + " bytes" : "[" + HexFormat.of().formatHex(bytes) + "]";
      }
      if (value instanceof MetadataValue<?> entry) {
         return shown(entry.getValue()) + " lifespan " + entry.getLifespan() + " max idle " + entry.getMaxIdle()
               + (entry.getCreated() > 0 ? " created" : "") + (entry.getLastUsed() > 0 ? " used" : "")
               + (entry.getVersion() != 0 ? " version" : "");
      }
      if (value instanceof Map<?, ?> map) {
         TreeMap<String, String> sorted = new TreeMap<>();
         map.forEach((key, found) -> sorted.put(shown(key), shown(found)));
         return sorted.toString();
      }
      if (value instanceof Collection<?> all) {
         return all.stream().map(Conversation::shown).collect(Collectors.joining(", ", "(", ")"));
      }
      if (value instanceof String text) {
         return '"' + text + '"';
      }
      return value.getClass().getSimpleName() + " " + value;
   }

   private static String failure(Throwable thrown) {
      Throwable cause = thrown;
      while (cause instanceof ExecutionException && cause.getCause() != null) {
         cause = cause.getCause();
      }
      return "! " + cause.getClass().getSimpleName() + ": " + String.valueOf(cause.getMessage())
            .replaceAll("messageId=\\d+", "messageId=?")
            .replaceAll("127\\.0\\.0\\.1[:/]\\d+", "server")
            .replaceAll("\\s+", " ");
   }

   /** Returns what an iteration returns, sorted by its text. */
   private static String drained(Object iterator) throws Exception {
      TreeSet<String> entries = new TreeSet<>();
      int count = 0;
      try (AutoCloseable closing = (AutoCloseable) iterator) {
         java.util.Iterator<?> each = (java.util.Iterator<?>) closing;
         while (each.hasNext()) {
            Map.Entry<?, ?> entry = (Map.Entry<?, ?>) each.next();
            entries.add(shown(entry.getKey()) + "=" + shown(entry.getValue()));
            count++;
         }
      }
      return count + " " + entries;
   }

   private static String ends(RemoteCache<String, String> cache, String key) throws InterruptedException {
      boolean there = cache.get(key) != null;
      for (int looks = 0; looks < 500; looks++) {
         if (cache.get(key) == null) {
            return there ? "ended" : "was never there";
         }
         Thread.sleep(10);
      }
      return "still there";
   }

   /** Watches the number of entries, because reading the entry would keep it alive. */
   private static String endsUnseen(RemoteCache<String, String> cache, String key) throws InterruptedException {
      int before = cache.size();
      for (int looks = 0; looks < 500; looks++) {
         if (cache.size() < before) {
            return cache.get(key) == null ? "ended" : "still there";
         }
         Thread.sleep(10);
      }
      return "still counted";
   }

   private static Set<Integer> segmentSet(int from, int to) {
      Set<Integer> segments = new LinkedHashSet<>();
      for (int segment = from; segment < to; segment++) {
         segments.add(segment);
      }
      return segments;
   }

   private Object segments(String name) {
      RemoteCache<?, ?> cache = manager.getCache(name);
      Integer count = cache.getCacheTopologyInfo().getNumSegments();
      return List.of(count == null ? "none" : count, cache.getCacheTopologyInfo().getSegmentsPerServer().size());
   }

   private Collection<String> names() {
      return manager.getCacheNames().stream().filter(name -> name.startsWith("conversation")).collect(Collectors.toCollection(TreeSet::new));
   }

   private RemoteCache<String, String> cache(String name, String mediaType) {
      return cache(name, mediaType, "");
   }

   private RemoteCache<String, String> cache(String name, String mediaType, String content) {
      String xml = "<distributed-cache name=\"" + name + "\" mode=\"SYNC\" statistics=\"true\"><encoding media-type=\"" + mediaType + "\"/>" + content
            + "</distributed-cache>";
      return manager.administration().withFlags(AdminFlag.VOLATILE).getOrCreateCache(name, configuration(xml));
   }

   private static String xml(String name, String mediaType) {
      return "<infinispan><cache-container><distributed-cache name=\"" + name + "\" mode=\"SYNC\"><encoding media-type=\"" + mediaType
            + "\"/></distributed-cache></cache-container></infinispan>";
   }

   private static <K, V> RemoteCache<K, V> returning(RemoteCache<K, V> cache) {
      // Flags apply to one operation only.
      return cache.withFlags(Flag.FORCE_RETURN_VALUE);
   }

   private static RemoteCache<String, String> as(RemoteCache<?, ?> cache, MediaType mediaType) {
      return cache.withDataFormat(DataFormat.builder()
            .keyType(mediaType).keyMarshaller(new UTF8StringMarshaller())
            .valueType(mediaType).valueMarshaller(new UTF8StringMarshaller()).build());
   }

   @SuppressWarnings("unchecked")
   private static RemoteCache<Object, Object> of(RemoteCache<?, ?> cache) {
      return (RemoteCache<Object, Object>) cache;
   }

   /** Creates a configuration from a string; its class has different names in different clients. */
   private static BasicConfiguration configuration(String text) {
      for (String name : List.of("StringConfiguration", "XMLStringConfiguration")) {
         try {
            return (BasicConfiguration) Class.forName("org.infinispan.commons.configuration." + name).getConstructor(String.class).newInstance(text);
         } catch (ClassNotFoundException another) {
            continue;
         } catch (ReflectiveOperationException wrong) {
            throw new IllegalStateException(wrong);
         }
      }
      throw new IllegalStateException("no class for a configuration in a string");
   }
}
