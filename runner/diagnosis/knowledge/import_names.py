"""Which distribution brings a module, where their names differ.

Kept by hand: where several bring the same module, it is the one that most mean by it.
``scripts/check_import_names.py`` compares this with the wheels and environments of a machine.
"""

# A line: a distribution as its authors write it, and its modules. A star is any one name; where the
# distribution alone has one, it is the module's.
IMPORT_NAMES = """
*-cu12 cucim cudf cugraph cuml
*-py absl camelot freetype markdown_it nats rpds tabula
*-python dbus ffmpeg kafka llama_cpp neat plaid systemd wrf
antlr4-python3-runtime antlr4
apache-airflow airflow
apache-flink pyflink
apache-superset superset
apache-tvm tvm
appengine-python-standard google.appengine
argon2-cffi argon2
attrs attr
automata-lib automata
aws-cdk-lib aws_cdk
ax-platform ax
azure-* azure.*
azure-ai-* azure.ai.*
azure-data-tables azure.data.tables
azure-keyvault-* azure.keyvault.*
azure-mgmt-* azure.mgmt.*
azure-monitor-* azure.monitor.*
azure-search-documents azure.search.documents
azure-storage-* azure.storage.*
azure-storage-file-datalake azure.storage.filedatalake
azure-storage-file-share azure.storage.fileshare
backports.* backports.*
basemap mpl_toolkits.basemap
bayesian-optimization bayes_opt
beautifulsoup4 bs4
biopython Bio BioSQL
box2d-py Box2D
cassandra-driver cassandra
cloud-sql-python-connector google.cloud.sql.connector
copasi-basico basico
cupy-cuda12x cupy
Cython pyximport
databricks-sdk databricks.sdk
databricks-sql-connector databricks.sql
delta-spark delta
discord.py discord
django-* allauth crispy_forms debug_toolbar guardian import_export storages
django-cors-headers corsheaders
django-filter django_filters
djangorestframework rest_framework
djangorestframework-simplejwt rest_framework_simplejwt
dm-tree tree
dnspython dns
earthengine-api ee
ecmwf-api-client ecmwfapi
econ-ark HARK
EMD-signal PyEMD
facebook-sdk facebook
faiss-cpu faiss
fenics-* basix ffcx ufl
flash-linear-attention fla
fpdf2 fpdf
future past
GDAL gdalconst ogr osgeo osgeo_utils osr
GitPython git
google-api-core google.api_core
google-api-python-client apiclient googleapiclient
google-auth google.auth google.oauth2
google-cloud-* google.cloud.*
google-cloud-secret-manager google.cloud.secretmanager
google-genai google.genai
google-generativeai google.generativeai
google-pasta pasta
googleapis-common-protos google.api google.rpc
graphql-core graphql
grpcio grpc
grpcio-health-checking grpc_health
grpcio-reflection grpc_reflection
grpcio-status grpc_status
grpcio-tools grpc_tools
hidapi hid
hydra-core hydra
ibm-cos-sdk ibm_boto3
imbalanced-learn imblearn
impyla impala
jaraco.* jaraco.*
JPype1 jpype
json-rpc jsonrpc
LabJackPython u3
libigl igl
libroadrunner roadrunner
libusb1 usb1
matlabengine matlab.engine
matplotlib mpl_toolkits pylab
mecab-python3 MeCab
meson mesonbuild
meson-python mesonpy
mysql-connector-python mysql
mysqlclient MySQLdb
newspaper3k newspaper
nvidia-ml-py pynvml
odfpy odf
Office365-REST-Python-Client office365
open-clip-torch open_clip
openai-whisper whisper
openbabel-wheel openbabel
opencv-python-headless cv2
OpenMM simtk
opensearch-py opensearchpy
openstacksdk openstack
opentelemetry-api opentelemetry
opentelemetry-exporter-otlp opentelemetry.exporter.otlp
opentelemetry-proto opentelemetry.proto
opentelemetry-sdk opentelemetry.sdk
orbax-checkpoint orbax.checkpoint
paho-mqtt paho
patool patoolib
pdfminer.six pdfminer
peewee playhouse
pillow PIL
poetry-core poetry.core
POT ot
progressbar2 progressbar
proto-plus proto
protobuf google.protobuf
psycopg2-binary psycopg2
Py* OpenGL Stemmer
py* ahocorasick cairo capnp dicom erfa farmhash imagej janitor jnius OpenSSL serial stan usb
py* yaml_include zmq
py-cpuinfo cpuinfo
py-key-value-aio key_value
py-trello trello
PyBluez bluetooth
pybullet pybullet_data pybullet_envs
pycryptodome Crypto
pycryptodomex Cryptodome
PyGithub github
PyGObject gi
PyHive TCLIService
PyJWT jwt
pymongo bson
PyMuPDF fitz
PyNaCl nacl
PyQtWebEngine PyQt5.QtWebEngineWidgets
pyro-ppl pyro
pyshp shapefile
PySocks socks sockshandler
pytest-xdist xdist
python-* barcode bidi binance bioformats box can constraint consul crontab dateutil decouple
python-* digitalocean docx dotenv editor flint frontmatter gdcm gflags gitlab glanceclient gnupg
python-* graphblas javabridge jenkins jose keystoneclient ldap libsbml lzo magic multipart nmap
python-* novaclient pam pptx rapidjson slugify snap7 snappy socketio swiftclient vxi11
python-copasi COPASI
python-crfsuite pycrfsuite
python-json-logger pythonjsonlogger
python-louvain community
python-memcached memcache
python-sat pysat
python-telegram-bot telegram
python-xlib Xlib
pythonnet clr
pytorch-ignite ignite
PyVCF vcf
PyWavelets pywt
pywin32 adodbapi pythoncom pywintypes win32api win32com win32con win32file win32gui win32process
PyYAML _yaml yaml
readability-lxml readability
RPi.GPIO RPi
ruamel.* ruamel.*
ruamel.yaml ruamel ruamel.yaml
scikit-allel allel
scikit-bio skbio
scikit-build skbuild
scikit-fem skfem
scikit-fmm skfmm
scikit-fuzzy skfuzzy
scikit-gstat skgstat
scikit-image skimage
scikit-learn sklearn
scikit-learn-extra sklearn_extra
scikit-learn-intelex sklearnex
scikit-misc skmisc
scikit-optimize skopt
scikit-plot scikitplot
scikit-rf skrf
scikit-sparse sksparse
scikit-survival sksurv
scikit-video skvideo
scitools-iris iris
scvi-tools scvi
setuptools pkg_resources
slackclient slack
smbus-cffi smbus
snowflake-connector-python snowflake snowflake.connector
snowflake-snowpark-python snowflake.snowpark
SpeechRecognition speech_recognition
sphinxcontrib-* sphinxcontrib.*
stomp.py stomp
swmm-toolkit swmm
TA-Lib talib
toolz tlz
torch functorch torchgen
umap-learn umap
universal-pathlib upath
vtk vtkmodules
weaviate-client weaviate
webdavclient3 webdav3
websocket-client websocket
Wikipedia-API wikipediaapi
wxPython wx
z3-solver z3
zope.* zope.*
zxing-cpp zxingcpp
"""
