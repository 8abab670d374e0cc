import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import org.infinispan.client.hotrod.DataFormat;
import org.infinispan.client.hotrod.RemoteCache;
import org.infinispan.client.hotrod.RemoteCacheManager;
import org.infinispan.client.hotrod.configuration.ConfigurationBuilder;
import org.infinispan.commons.dataconversion.MediaType;
import org.infinispan.commons.marshall.IdentityMarshaller;
import org.infinispan.commons.marshall.Marshaller;
import org.infinispan.commons.marshall.UTF8StringMarshaller;

/**
 * Writes entries to caches of every format, or reads them, as an application that uses such a cache does. Reading writes
 * a line for each entry, with the type of its value.
 *
 * <p>Arguments: "write" and a port, or "read" and ports.
 */
public final class Formats {
   private static final HexFormat HEX = HexFormat.of();

   private final RemoteCacheManager manager;
   private final boolean writes;

   private Formats(RemoteCacheManager manager, boolean writes) {
      this.manager = manager;
      this.writes = writes;
   }

   public static void main(String[] arguments) {
      boolean writes = arguments[0].equals("write");
      for (String port : Arrays.asList(arguments).subList(1, arguments.length)) {
         ConfigurationBuilder builder = new ConfigurationBuilder();
         builder.addServer().host("127.0.0.1").port(Integer.parseInt(port));
         builder.socketTimeout(15_000).connectionTimeout(15_000).maxRetries(0);
         try (RemoteCacheManager manager = new RemoteCacheManager(builder.build())) {
            System.out.println("# " + port);
            new Formats(manager, writes).all();
         }
      }
      System.out.flush();
      System.exit(0);
   }

   private void all() {
      Marshaller text = new UTF8StringMarshaller();
      Marshaller bytes = IdentityMarshaller.INSTANCE;
      entries("octets", MediaType.APPLICATION_OCTET_STREAM, bytes, octets());
      entries("text", MediaType.TEXT_PLAIN, text, Map.of("a", "1", "ä/ö €", "two words, ü"));
      entries("latin", MediaType.TEXT_PLAIN, text, Map.of("a", "1", "ä/ö", "two words, ü"));
      entries("json", MediaType.APPLICATION_JSON, text, Map.of("\"a\"", "{\"number\": 1}", "7", "[1, 2]", "{\"b\": \"ä\"}", "\"text\""));
      entries("xml", MediaType.APPLICATION_XML, text, Map.of("<a/>", "<b>ä</b>", "<c d=\"1\"></c>", "<?xml version=\"1.0\"?><e/>"));
      entries("text-json", MediaType.TEXT_PLAIN, text, MediaType.APPLICATION_JSON, text, Map.of("a", "{\"number\": 1}", "ä", "null"));
      entries("protostream", null, null, types());
      entries("object", null, null, types());
      entries("none", null, null, types());
      entries("indexed", null, null, types());
      // A string as version 3 of that marshaller writes it.
      byte[] key = HEX.parseHex("033e0161");
      entries("jboss", MediaType.APPLICATION_JBOSS_MARSHALLING, bytes, Map.of(key, HEX.parseHex("033e0568656c6c6f")));
      entries("___protobuf_metadata", null, null, Map.of("godwit.proto", "package godwit; /* @Indexed */ message Bird { /* @Basic */ optional string name = 1; }"));
   }

   private static Map<Object, Object> octets() {
      Map<Object, Object> entries = new LinkedHashMap<>();
      entries.put(new byte[]{0, (byte) 0xff, 10, 13}, new byte[]{1, 2, 3});
      entries.put("a".getBytes(StandardCharsets.UTF_8), new byte[0]);
      return entries;
   }

   private static Map<Object, Object> types() {
      Map<Object, Object> entries = new LinkedHashMap<>();
      entries.put("string", "text, ü");
      entries.put("number", 42);
      entries.put(7, "under a number");
      entries.put(7L, "under a long number");
      entries.put("long", 1L << 40);
      entries.put("double", 1.5);
      entries.put("boolean", true);
      entries.put("bytes", new byte[]{1, 2, 3});
      entries.put("date", new Date(1_700_000_000_000L));
      return entries;
   }

   private void entries(String name, MediaType mediaType, Marshaller marshaller, Map<?, ?> entries) {
      entries(name, mediaType, marshaller, mediaType, marshaller, entries);
   }

   private void entries(String name, MediaType keyType, Marshaller keys, MediaType valueType, Marshaller values, Map<?, ?> entries) {
      RemoteCache<Object, Object> cache = manager.getCache(name);
      if (cache == null) {
         System.out.println(name + " -> no such cache");
         return;
      }
      if (keyType != null) {
         cache = cache.withDataFormat(DataFormat.builder()
               .keyType(keyType).keyMarshaller(keys).valueType(valueType).valueMarshaller(values).build());
      }
      List<String> lines = new ArrayList<>();
      for (Map.Entry<?, ?> entry : entries.entrySet()) {
         String outcome;
         try {
            if (writes) {
               cache.put(entry.getKey(), entry.getValue());
            }
            outcome = show(cache.get(entry.getKey()));
         } catch (RuntimeException exception) {
            outcome = "! " + exception.getMessage();
         }
         lines.add(name + " " + show(entry.getKey()) + " -> " + outcome);
      }
      lines.sort(null);
      lines.forEach(System.out::println);
   }

   private static String show(Object value) {
      if (value == null) {
         return "null";
      }
      String type = value.getClass().getSimpleName();
      return type + " " + (value instanceof byte[] bytes ? HEX.formatHex(bytes) : String.valueOf(value));
   }
}
